"""``anyscope train``: from a dataset folder to a segmenter, with its test scores and its report."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anyscope.datasets import Dataset, open_dataset
from anyscope.errors import BadInput
from anyscope.images import ReadOptions
from anyscope.inference import InferenceSettings
from anyscope.metrics import EvaluationProtocol
from anyscope.models import SegmenterSpec, build_segmenter, initialise, save_segmenter
from anyscope.models.spec import DecoderSpec, LinkerSpec
from anyscope.running import processes
from anyscope.running.atomic import write_text
from anyscope.running.devices import choose_device
from anyscope.running.progress import say
from anyscope.running.run_folder import RunFolder
from anyscope.training.batches import labelled_patches
from anyscope.training.hardening import HARDENINGS, hardening
from anyscope.training.loop import Fit, fit
from anyscope.training.memory import training_bytes
from anyscope.training.settings import TrainSettings, train_settings
from anyscope.training.tuning_modes import check_tuning, describe_tuning
from anyscope.training.validation import TunedDecoder, Validation, decoders_for, linkers_for, protocol_for
from anyscope.training.working_pixels import advice
from anyscope.workflows.report import report
from anyscope.workflows.score import score_part


@dataclass(frozen=True)
class TrainResult:
    """Where the run is, and what it reached.

    Args:
        run: The run folder.
        best_epoch: Epoch of the saved weights, from 1.
        validation_score: Their score on the validation part; None without one.
        test: The evaluation of the test part as plain data; None without one.
        report: The report page.
    """

    run: Path
    best_epoch: int
    validation_score: float | None
    test: dict[str, Any] | None
    report: Path


def train(
    data: Path | str,
    out: Path | str,
    *,
    settings: TrainSettings | None = None,
    init: Path | str | None = None,
    device: str = "auto",
    read: ReadOptions | None = None,
    resume: bool = False,
    force: bool = False,
) -> TrainResult:
    """Train a segmenter on a dataset folder, score it on the test part and write its report.

    Args:
        data: The dataset folder.
        out: The run folder to make.
        settings: What to do; by default the profile ``fast``.
        init: A run, a segmenter folder or a file of weights to start from; every key that fits or not is reported.
        device: ``auto``, ``cpu`` or ``cuda``.
        read: How to read images where the files leave it open.
        resume: Continue a run that was stopped.
        force: Replace a run that is there.

    Raises:
        BadInput: The data or the settings do not fit.
        EnvironmentFault: The run folder cannot be written.
    """
    data, out = Path(data), Path(out)
    settings = settings or train_settings()
    read = read or ReadOptions()
    dataset = open_dataset(data, read)
    training, validation = dataset.labelled("train"), dataset.labelled("val") if dataset.split["val"] else None
    if not any(region.read_reference(settings.task)[0].any() for region in training):
        raise BadInput(data / "labels", "all labels of the training part are background", "labels with foreground")
    spec = settings.spec(training.channels, dataset.classes)
    plain = {
        "verb": "train",
        "data": str(data.resolve()),
        "init": None if init is None else str(Path(init).resolve()),
        "read": {"axes": read.axes, "voxel_size_nm": read.voxel_size_nm, "channel": read.channel},
        **settings.model_dump(mode="json"),
    }
    chosen = choose_device(device)
    processes.join(chosen)
    segmenter = build_segmenter(spec, settings.seed, settings.weights)
    if init is not None:
        for line in initialise(segmenter, Path(init)).describe():
            say(line)
    check_tuning(segmenter, settings)
    if settings.robust is not None:
        hardening(settings.robust, settings.robust_arguments)
    _check_targets(dataset, settings, spec)
    run = RunFolder.start(out, plain, resume=resume, force=force)
    if run.finished:
        say(f"{out}: finished already, nothing to do")
        return _result(run)
    _describe(dataset, settings, spec, chosen)
    hint = advice(settings, training)
    if hint is not None:
        say(f"hint: {hint}")
    say(f"tune: {describe_tuning(segmenter, settings)}")
    if settings.robust is not None:
        say(f"robust: {settings.robust}: {HARDENINGS[settings.robust].summary}")
    needed = training_bytes(segmenter, settings)
    say(f"memory: about {needed / 2**30:.1f} GiB for a training step; the time left is shown from the first steps on")
    inference = InferenceSettings(device=chosen)
    with run.explain_interrupt():
        fitted = fit(segmenter, training, validation, settings, run, cpu=chosen == "cpu")
        if processes.rank() > 0:
            run.finish({"best_epoch": fitted.best_epoch, "validation_score": fitted.best_score})
            return _result(run)
        segmenter.to(chosen)
        changes: dict[str, Any] = {"provenance": _provenance(dataset, settings, fitted)}
        if validation is not None:
            judged = Validation.read(validation, segmenter.spec, settings, settings.tuning_planes)
            changes |= _tuned_decoders(judged.tuned_decoders(segmenter, inference), judged.protocol, run.path)
        else:
            changes["decoder"] = _untuned_decoder(dataset, settings, segmenter.spec)
        segmenter.spec = segmenter.spec.model_copy(update=changes)
        save_segmenter(segmenter, run.path / "segmenter", replace=True)
        if dataset.split["test"]:
            score_part(segmenter, dataset, "test", run.path / "test", inference, _protocol(dataset, settings))
        run.finish({"best_epoch": fitted.best_epoch, "validation_score": fitted.best_score})
        report(run.path)
    return _result(run)


def _check_targets(dataset: Dataset, settings: TrainSettings, spec: SegmenterSpec) -> None:
    """Refuse what cannot be learned or decoded before anything is written."""
    training = dataset.labelled("train")
    reach = max((abs(z) for z, _, _ in spec.offsets), default=0)
    deepest = max((region.roi.shape[0] for region in training), default=0)
    if deepest <= reach:
        away = f"more than {reach}: an offset of the affinities leads {reach} slice(s) away"
        raise BadInput(training[0].image.path, f"{deepest} slice(s) to train on", away, "choose other offsets")
    labelled_patches(training, settings, settings.augmentation, spec.layout, "train")
    decoders_for(settings, spec, training[0].voxel_size_nm)


def _describe(dataset: Dataset, settings: TrainSettings, spec: SegmenterSpec, device: str) -> None:
    """Say what was understood, before anything takes long."""
    first = next(iter(dataset.images.values()))
    parts = ", ".join(f"{part} {len(regions)}" for part, regions in dataset.split.items())
    say(f"data: {dataset.root}: {len(dataset.images)} image(s); the first: {first.describe()}")
    say(f"labels: {dataset.kind}; split {dataset.split_rule}: {parts}")
    if settings.task == "semantic" and dataset.kind == "instances":
        say("labels: instances are made a mask, as the task is semantic")
    if settings.task == "instances" and dataset.kind == "mask":
        say("warning: the labels are masks: touching objects count as one (labels: instances would tell them apart)")
    unknown = [stem for stem in dataset.images if dataset.voxel_size_nm(stem) is None]
    if spec.pixel_size_nm is not None and unknown:
        say(f"warning: the pixel size of {len(unknown)} image(s) is unknown; they are used at their native pixels")
    heads = ", ".join(spec.heads)
    say(f"model: {spec.model}, {spec.in_channels} channel(s), heads {heads}, {spec.pixels}, {spec.intensity}")
    steps = settings.epochs * settings.steps_per_epoch
    say(f"plan: {settings.epochs} epochs of {settings.steps_per_epoch} steps of {settings.batch} patches, on {device}")
    if not dataset.split["val"]:
        say(f"warning: the split has no validation part: the weights after step {steps} are kept, not the best")


def _tuned_decoders(tuned: list[TunedDecoder], protocol: EvaluationProtocol, folder: Path) -> dict[str, Any]:
    """The best decoder and the others for the spec; all of them are said and written with their validation scores."""
    for one in tuned:
        say(f"decoder {one.spec.name}: validation {protocol.headline} {one.scores[protocol.headline]:.4f}: {one.words}")
    records = [{"decoder": one.spec.model_dump(mode="json"), "words": one.words, "scores": one.scores} for one in tuned]
    write_text(folder / "decoders.json", json.dumps({"protocol": protocol.name, "decoders": records}, indent=2) + "\n")
    return {"decoder": tuned[0].spec, "alternatives": tuple(one.spec for one in tuned[1:])}


def _untuned_decoder(dataset: Dataset, settings: TrainSettings, spec: SegmenterSpec) -> DecoderSpec:
    """What is taken where there is nothing to tune on: the first that fits, with the values of its authors."""
    first = decoders_for(settings, spec, dataset.labelled("train")[0].voxel_size_nm)[0]
    linkers = linkers_for(settings, dataset.description.objects)
    linker = LinkerSpec(name=linkers[0]) if linkers else None
    return DecoderSpec(name=first.name, parameters=vars(first), linker=linker)


def _protocol(dataset: Dataset, settings: TrainSettings) -> EvaluationProtocol:
    classes = dataset.classes if settings.task == "semantic" else 2
    return protocol_for(settings, classes, dataset.description.objects)


def _provenance(dataset: Dataset, settings: TrainSettings, fitted: Fit) -> dict[str, Any]:
    """How it was trained, for the spec: names and numbers, no paths."""
    hardened = None if settings.robust is None else hardening(settings.robust, settings.robust_arguments)
    return {
        "dataset": dataset.root.resolve().name,
        "training_images": len(dataset.split["train"]),
        "seed": settings.seed,
        "epochs": settings.epochs,
        "steps_per_epoch": settings.steps_per_epoch,
        "batch": settings.batch,
        "robust": None if hardened is None else hardened.record(),
        "best_epoch": fitted.best_epoch,
        "validation_score": fitted.best_score,
    }


def _result(run: RunFolder) -> TrainResult:
    """What a finished run reached, read from its folder."""
    finished = run.document("finished.json")
    return TrainResult(
        run.path,
        finished["best_epoch"],
        finished["validation_score"],
        run.document("test/evaluation.json") or None,
        run.path / "report.html",
    )
