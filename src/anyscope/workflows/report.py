"""``anyscope report``: the page of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from anyscope.contracts import Task
from anyscope.datasets import open_dataset
from anyscope.errors import BadInput
from anyscope.images import ReadOptions, output_suffix
from anyscope.inference import decoder_of
from anyscope.metrics import PROTOCOLS
from anyscope.models import SegmenterSpec, load_segmenter
from anyscope.reports.run_report import RunReport, run_report
from anyscope.running.atomic import write_text
from anyscope.running.run_folder import RunFolder
from anyscope.workflows.predicted_regions import PredictedRegion
from anyscope.workflows.run_pictures import ShownImages, show_images


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
    evaluation = run.document("test/evaluation.json") or None
    finished = run.document("finished.json")
    protocol = None if evaluation is None else PROTOCOLS[evaluation["protocol"]]
    task: Task = settings["task"]
    shown = _shown(folder, settings, evaluation) if evaluation is not None else ShownImages()
    page = run_report(
        RunReport(
            title=f"{settings['model']} on {Path(settings['data']).name}",
            settings={key: value for key, value in settings.items() if value is not None},
            environment=run.document("environment.json"),
            metrics=run.records(),
            evaluation=evaluation,
            task=task,
            samples=shown.samples,
            ranking=shown.ranking,
            stacks=shown.stacks,
            findings=shown.findings,
            primary_score=None if protocol is None else protocol.headline,
            higher_is_better=protocol is None or protocol.headline not in protocol.errors,
            decoders=run.document("decoders.json").get("decoders", ()),
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
            facts["decoder"] = decoder_of(spec).describe()
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


def _shown(folder: Path, settings: dict[str, Any], evaluation: dict[str, Any]) -> ShownImages:
    """Pictures of the test part."""
    read = settings["read"]
    size = read["voxel_size_nm"]
    options = ReadOptions(read["axes"], tuple(size) if size else None, read["channel"])
    try:
        dataset = open_dataset(settings["data"], options)
    except BadInput as error:
        return ShownImages(notes=(f"The test images are not shown: {error}",))
    predicted = [
        PredictedRegion.of(
            region, folder / "test" / "predictions" / (region.stem + output_suffix(region.image)), options
        )
        for region in dataset.labelled("test")
    ]
    return show_images(dataset, predicted, PROTOCOLS[evaluation["protocol"]])
