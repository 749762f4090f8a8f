"""``anyscope adapt``: labels of a source, images of a target, a segmenter for the target."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from anyscope.adaptation.begin import SOURCE_ZOOM, TargetPart, begin, earlier_weights, read_domains
from anyscope.adaptation.catalog import STEPS
from anyscope.adaptation.comparison import compare_domains
from anyscope.adaptation.domains import Domains
from anyscope.adaptation.runner import Adapted, carry_out
from anyscope.adaptation.settings import NONE, AdaptSettings, adapt_settings
from anyscope.adaptation.traits import Traits, measure_traits
from anyscope.adaptation.views import Cuts, read_labels_only
from anyscope.datasets import Dataset, open_dataset, open_unlabelled
from anyscope.images import ReadOptions
from anyscope.models import Segmenter, SegmenterSpec, save_segmenter
from anyscope.running import processes
from anyscope.running.atomic import write_text
from anyscope.running.devices import choose_device
from anyscope.running.progress import say
from anyscope.running.run_folder import RunFolder
from anyscope.workflows.adapt_pictures import PICTURES, adaptation_pictures
from anyscope.workflows.adapt_report import adapt_report

DOCUMENT = "adaptation.json"


@dataclass(frozen=True)
class AdaptResult:
    """Where the run is, and what happened in it.

    Args:
        run: The run folder; ``segmenter/`` in it is the result.
        document: What ``adaptation.json`` holds: method, steps with their candidates and choices, alarms.
    """

    run: Path
    document: dict[str, Any]

    @property
    def report(self) -> Path:
        """The report page."""
        return self.run / "report.html"

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {"run": str(self.run), "report": str(self.report), **self.document}


def adapt(
    source: Path | str,
    target: Path | str,
    out: Path | str,
    *,
    method: str | None = None,
    profile: str = "fast",
    given: Mapping[str, Any] | None = None,
    init: Path | str | None = None,
    target_part: TargetPart | None = None,
    target_labels: Path | str | None = None,
    device: str = "auto",
    source_read: ReadOptions | None = None,
    target_read: ReadOptions | None = None,
    resume: bool = False,
    force: bool = False,
) -> AdaptResult:
    """Make a segmenter for a target without its labels, and say how sure one can be of it.

    Labels of the target are never opened, whether they are there or not. Which candidate is taken, and at which scale
    the target is shown to it, is decided by what its predictions look like.

    Args:
        source: Dataset folder with labels.
        target: The target: a dataset folder, a folder of images, or one image or stack.
        out: The run folder to make.
        method: ``none`` or steps such as ``rescale+histogram+mean-teacher``; where None, what the differences between
            the domains speak for, with refinements only if a gap shows once the source is learned.
        profile: ``fast``, ``best`` or ``paper``.
        given: Settings that differ; see :func:`anyscope.adaptation.settings.adapt_settings`.
        init: A run or a segmenter that was trained on the source, to begin with.
        target_part: Images of the target to learn from. By default those for training where ``dataset.yaml`` has a
            split, all otherwise; ``all`` and ``test`` with images that are scored later is transductive.
        target_labels: Dataset folder with a few labelled images of the target, all of which are learned from.
        device: ``auto``, ``cpu`` or ``cuda``.
        source_read, target_read: How to read images where the files leave it open.
        resume: Continue a run that was stopped.
        force: Replace a run that is there.

    Raises:
        BadInput: Data or settings do not fit.
        EnvironmentFault: The run folder cannot be written.
    """
    out = Path(out)
    labelled, unlabelled = open_dataset(source, source_read), open_unlabelled(target, target_read)
    domains = read_domains(labelled, unlabelled, target_part, target_labels, target_read)
    given = dict(given or {})
    general = given if method is not None else {key: value for key, value in given.items() if key not in STEPS}
    segmenter, settings = begin(labelled, domains, adapt_settings(method or NONE, profile, **general), init)
    source_zoom = settings.train.zoom
    reference = _reference(domains, segmenter.spec, source_zoom)
    comparison = compare_domains(
        domains.source.without_labels(), domains.target, segmenter.spec, source_zoom, reference
    )
    if method is None:
        chosen_method = comparison.proposal().chain
        given = {"only_for_gaps": True, **given}
        segmenter, settings = begin(labelled, domains, adapt_settings(chosen_method, profile, **given), init)
    for step in settings.chain(init is not None):
        step.check(segmenter.spec)
    plain = {
        "verb": "adapt",
        "source": str(labelled.root.resolve()),
        "target": str(unlabelled.root.resolve()),
        "target_part": target_part,
        "target_labels": None if target_labels is None else str(Path(target_labels).resolve()),
        "init": None if init is None else str(Path(init).resolve()),
        "read": [_plain(source_read), _plain(target_read)],
        **settings.model_dump(mode="json"),
    }
    chosen = choose_device(device)
    processes.join(chosen)
    run = RunFolder.start(out, plain, resume=resume, force=force)
    if run.finished:
        say(f"{out}: finished already, nothing to do")
        return _result(run.path)
    for line in comparison.lines():
        say(f"domains: {line}")
    if method is None:
        for reason in comparison.proposal().reasons:
            say(f"proposed: {reason}")
    _describe(labelled, unlabelled, domains, settings, segmenter.spec, chosen, trained=init is not None)
    start = segmenter.spec
    with run.explain_interrupt():
        earlier = None if init is None else earlier_weights(init, start)
        adapted = carry_out(
            domains, settings, segmenter, run.path / "steps", chosen, trained=init is not None, earlier=earlier
        )
        adaptation_pictures(domains, settings, start, adapted, comparison, chosen, init).save(run.path / PICTURES)
        save_segmenter(_finished(adapted, labelled, unlabelled, settings), run.path / "segmenter", replace=True)
        document = describe(adapted, settings) | {
            "comparison": comparison.to_dict(),
            "differences": comparison.lines(),
            "reference": reference.to_dict(),
            "source": labelled.root.resolve().name,
            "target": unlabelled.root.resolve().name,
            "target_images": len(domains.target),
        }
        write_text(run.path / DOCUMENT, json.dumps(document, indent=2) + "\n")
        adapt_report(run.path)
        run.finish({"method": settings.title, "alarms": len(adapted.alarms)})
    return _result(run.path)


def _reference(domains: Domains, spec: SegmenterSpec, zoom: float) -> Traits:
    """Traits of the labels of the source, as candidates are judged by them."""
    cuts = Cuts().for_domains(domains.source.regions, domains.target.regions)
    labels, valid = read_labels_only(domains.source.regions, spec, zoom, cuts)
    return measure_traits(labels, spec.task, valid=valid)


def describe(adapted: Adapted, settings: AdaptSettings) -> dict[str, Any]:
    """What happened, as plain data."""
    spec = adapted.segmenter.spec
    steps = [
        {
            "name": step.name,
            "stage": step.stage,
            "folder": step.folder.name,
            "findings": dict(step.findings),
            "candidates": [each.to_dict() for each in step.judgements],
            "choices": {name: choice.to_dict() for name, choice in step.choices.items()},
        }
        for step in adapted.steps
    ]
    return {
        "method": settings.title,
        "profile": settings.profile,
        "selection": settings.selection,
        "gap": None if adapted.gap is None else {**asdict(adapted.gap), "shows": adapted.gap.shows},
        "left_out": list(adapted.left_out),
        "model": spec.model,
        "pixels": spec.pixels,
        "steps": steps,
        "alarms": list(adapted.alarms),
    }


def _finished(adapted: Adapted, source: Dataset, target: Dataset, settings: AdaptSettings) -> Segmenter:
    segmenter = adapted.segmenter.to("cpu")
    learned = adapted.learned
    provenance = {
        "dataset": source.root.resolve().name,
        "adapted_to": target.root.resolve().name,
        "method": settings.title,
        "profile": settings.profile,
        "selection": settings.selection,
        "epoch": None if learned is None else learned.choices[adapted.rule].epoch,
        "seed": settings.train.seed,
        SOURCE_ZOOM: settings.train.zoom,
        "before": dict(segmenter.spec.provenance),
    }
    segmenter.spec = segmenter.spec.model_copy(update={"provenance": provenance})
    return segmenter


def _describe(
    source: Dataset,
    target: Dataset,
    domains: Domains,
    settings: AdaptSettings,
    spec: SegmenterSpec,
    device: str,
    *,
    trained: bool,
) -> None:
    """Say what was understood, before anything takes long."""
    for name, dataset, regions in (("source", source, domains.source), ("target", target, domains.target)):
        first = regions[0]
        pixel = "unknown pixel size" if first.pixel_size_nm is None else f"{first.pixel_size_nm:g} nm pixels"
        say(f"{name}: {dataset.root}: {len(regions)} image(s) to learn from, {pixel}; {first.image.describe()}")
    if source.root.resolve() == target.root.resolve():
        say("warning: source and target are the same folder: there is nothing to adapt to")
    if domains.validation is None:
        say("warning: the source has no validation part: nothing can be said of what an adaptation costs there")
    unknown = [region.stem for region in domains.target if region.pixel_size_nm is None]
    if unknown and spec.pixel_size_nm is not None and "rescale" not in settings.method:
        say(
            f"warning: the pixel size of {len(unknown)} target image(s) is unknown: they are used at their own pixels; "
            "rescale searches the scale, --target-voxel-size states it"
        )
    say(f"model: {spec.model}, heads {', '.join(spec.heads)}, {spec.pixels}, {spec.intensity}, on {device}")
    steps = " -> ".join(step.name for step in settings.chain(trained))
    say(f"plan: {settings.title}, profile {settings.profile}: {steps or 'nothing'}; selection {settings.selection}")


def _plain(read: ReadOptions | None) -> dict[str, Any] | None:
    if read is None:
        return None
    return {"axes": read.axes, "voxel_size_nm": read.voxel_size_nm, "channel": read.channel}


def _result(out: Path) -> AdaptResult:
    return AdaptResult(out, RunFolder.of(out).document(DOCUMENT))
