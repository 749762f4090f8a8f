"""``anyscope train``: from a dataset folder to a segmenter, with its test scores and its report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anyscope.datasets import Dataset, open_dataset
from anyscope.errors import BadInput
from anyscope.images import ReadOptions
from anyscope.inference import InferenceSettings
from anyscope.models import Segmenter, SegmenterSpec, build_segmenter, initialise, load_segmenter, save_segmenter
from anyscope.running.progress import duration, say
from anyscope.running.run_folder import RunFolder
from anyscope.training.loop import Fit, fit
from anyscope.training.settings import TrainSettings, train_settings
from anyscope.training.tuning import tune_decoder
from anyscope.workflows.devices import choose_device
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
    spec = _spec(dataset, settings)
    plain = {
        "verb": "train",
        "data": str(data.resolve()),
        "init": None if init is None else str(Path(init).resolve()),
        "read": {"axes": read.axes, "voxel_size_nm": read.voxel_size_nm, "channel": read.channel},
        **settings.model_dump(mode="json"),
    }
    chosen = choose_device(device)
    run = RunFolder.start(out, plain, resume=resume, force=force)
    if run.finished:
        say(f"{out}: finished already, nothing to do")
        return _finished(run)
    _describe(dataset, settings, spec, chosen)
    segmenter = build_segmenter(spec, settings.seed, settings.weights)
    if init is not None:
        for line in initialise(segmenter, Path(init)).describe():
            say(line)
    with run.explain_interrupt():
        fitted = fit(segmenter, training, validation, settings, run, cpu=chosen == "cpu")
        if validation is not None:
            segmenter = tune_decoder(segmenter, validation, settings, InferenceSettings(device=chosen))
        segmenter = segmenter.with_provenance(_provenance(dataset, settings, fitted))
        save_segmenter(segmenter, run.path / "segmenter", replace=True)
        test = None
        if dataset.split["test"]:
            test = score_part(segmenter, dataset, "test", run.path / "test", InferenceSettings(device=chosen))
        summary = {"best_epoch": fitted.best_epoch, "validation_score": fitted.best_score}
        run.finish(summary)
        page = report(out)
    return TrainResult(out, fitted.best_epoch, fitted.best_score, test, page)
