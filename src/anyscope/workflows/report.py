"""``anyscope report``: the page of a run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from anyscope.contracts import Labels, Task
from anyscope.datasets import open_dataset
from anyscope.datasets.folder import LabelledRegion
from anyscope.errors import BadInput
from anyscope.geometry import Roi
from anyscope.images import ReadOptions, output_suffix, read_labels
from anyscope.metrics import PROTOCOLS
from anyscope.models import SegmenterSpec, load_segmenter
from anyscope.reports.run_report import RunReport, run_report
from anyscope.reports.samples import Sample
from anyscope.reports.selection import choose
from anyscope.running.atomic import write_text
from anyscope.running.run_folder import RunFolder

_SHOWN_PER_GROUP = 2


class _Shown(NamedTuple):
    """The planes that are shown, the scores of all they were chosen from, and remarks."""

    samples: tuple[Sample, ...] = ()
    ranking: Mapping[str, float | None] = MappingProxyType({})
    notes: tuple[str, ...] = ()


class _Plane(NamedTuple):
    """One plane of a test image, as the report may show it."""

    region: LabelledRegion
    z: int
    prediction: Path

    @property
    def name(self) -> str:
        return f"{self.region.stem}[{self.z}]" if self.region.roi.shape[0] > 1 else self.region.stem

    def cut(self) -> LabelledRegion:
        return self.region.planes(self.z, self.z + 1)

    def predicted(self) -> Labels:
        shape = self.region.roi.shape
        return read_labels(self.prediction, Roi((self.z, 0, 0), (self.z + 1, *shape[1:])))


def report(folder: Path | str) -> Path:
    """Write ``report.html`` into the folder of a run and return its path.

    It is one of ``train``, ``pretrain``, ``stress``, ``adapt`` or ``cross``.

    Raises:
        BadInput: The folder is none of them, or an adaptation that has not ended.
        Incomplete: An assay or a crossing of which nothing was measured.
    """
    folder = Path(folder)
    run = RunFolder.of(folder)
    settings = run.settings()
    if settings.get("verb") == "stress":
        from anyscope.workflows.stress_report import stress_report

        return stress_report(folder)
    if settings.get("verb") == "adapt":
        from anyscope.workflows.adapt_report import adapt_report

        return adapt_report(folder)
    if settings.get("verb") == "cross":
        from anyscope.workflows.cross_report import cross_report

        return cross_report(folder)
    if settings.get("verb") == "pretrain":
        from anyscope.workflows.pretrain_report import pretrain_report

        return pretrain_report(folder)
    if settings.get("verb") != "train":
        expected = "a run of train, pretrain, stress, adapt or cross"
        raise BadInput(folder, f"a run of {settings.get('verb', 'an unknown verb')!r}", expected)
    spec = load_segmenter(folder).spec if (folder / "segmenter").is_dir() else None
    evaluation = _json(folder / "test" / "evaluation.json")
    finished = _json(folder / "finished.json") or {}
    task: Task = settings["task"]
    shown = _shown(folder, settings, evaluation) if evaluation is not None else _Shown()
    page = run_report(
        RunReport(
            title=f"{settings['model']} on {Path(settings['data']).name}",
            settings={key: value for key, value in settings.items() if value is not None},
            environment=_json(folder / "environment.json") or {},
            metrics=run.records(),
            evaluation=evaluation,
            task=task,
            samples=shown.samples,
            ranking=shown.ranking,
            primary_score=None if evaluation is None else PROTOCOLS[evaluation["protocol"]].headline,
            best_epoch=finished.get("best_epoch"),
            facts=_facts(settings, spec, evaluation, run),
            notes=shown.notes,
            commands=_commands(folder, settings),
        )
    )
    path = folder / "report.html"
    write_text(path, page)
    return path


def _facts(
    settings: dict[str, Any], spec: SegmenterSpec | None, evaluation: dict[str, Any] | None, run: RunFolder
) -> dict[str, object]:
    facts: dict[str, object] = {
        "data": Path(settings["data"]).name,
        "model": settings["model"],
        "task": settings["task"],
    }
    if spec is not None:
        facts |= {"weights": spec.weights, "intensity": str(spec.intensity)}
        facts["pixel size"] = spec.pixels
        if spec.decoder is not None:
            facts["decoder"] = f"{spec.decoder.name} {dict(spec.decoder.parameters)}"
        facts |= {str(key).replace("_", " "): value for key, value in spec.provenance.items()}
    if evaluation is not None:
        facts["test images"] = evaluation["n"]
    facts["seed"] = settings["seed"]
    records = run.records()
    if records:
        facts["training time"] = f"{records[-1]['seconds'] / 60:.1f} min"
    return facts


def _commands(folder: Path, settings: dict[str, Any]) -> tuple[str, ...]:
    name, data = folder.name, Path(settings["data"]).name
    return (
        f"anyscope train --data {data} --model {settings['model']} --task {settings['task']} "
        f"--out {name} --set seed={settings['seed']}   # all settings: {name}/settings.yaml",
        f"anyscope predict {name} {data} --split test --out predictions",
        f"anyscope evaluate predictions {data} --split test",
    )


def _json(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise BadInput(path, f"a JSON {type(content).__name__}", "a JSON object")
    return content


def _shown(folder: Path, settings: dict[str, Any], evaluation: dict[str, Any]) -> _Shown:
    """The worst, middle and best planes of the test part, with their scores."""
    task: Task = settings["task"]
    read = settings["read"]
    size = read["voxel_size_nm"]
    options = ReadOptions(read["axes"], tuple(size) if size else None, read["channel"])
    try:
        dataset = open_dataset(settings["data"], options)
    except BadInput as error:
        return _Shown(notes=(f"The test images are not shown: {error}",))
    planes = {plane.name: plane for plane in _planes(folder, dataset.labelled("test"))}
    protocol = PROTOCOLS[evaluation["protocol"]]
    scores: dict[str, float | None] = {}
    for name, plane in planes.items():
        reference, valid = plane.cut().read_reference(task)
        counts = protocol.measure(reference, np.where(valid, plane.predicted(), 0))
        scores[name] = protocol.scores(counts)[protocol.headline]
    chosen = choose(scores, _SHOWN_PER_GROUP)
    return _Shown(tuple(_sample(planes[choice.name], choice.score, task) for choice in chosen), scores)


def _planes(folder: Path, regions: Any) -> Iterator[_Plane]:
    for region in regions:
        path = folder / "test" / "predictions" / (region.stem + output_suffix(region.image))
        for z in range(region.roi.shape[0]):
            yield _Plane(region, z, path)


def _sample(plane: _Plane, score: float, task: Task) -> Sample:
    cut = plane.cut()
    image = cut.image.read(cut.roi)[:, 0].astype(np.float32).mean(axis=0)
    reference = cut.read_reference(task)[0][0]
    return Sample(plane.name, image, reference, plane.predicted()[0], score, cut.voxel_size_nm)
