"""What an adaptation begins with: the domains, checked against each other, and the segmenter."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from anyscope.adaptation.domains import Domains
from anyscope.adaptation.settings import AdaptSettings
from anyscope.contracts import HEADS
from anyscope.datasets import Dataset, LabelledImages, UnlabelledImages, open_dataset
from anyscope.errors import BadInput, Subject
from anyscope.images import Intensity, ReadOptions
from anyscope.models import Segmenter, SegmenterSpec, build_segmenter, has_adapters, load_segmenter
from anyscope.training.loop import EARLIER, earlier_epoch
from anyscope.training.settings import TrainSettings
from anyscope.training.tuning_modes import check_tuning
from anyscope.training.working_pixels import with_working_pixels

TargetPart = Literal["train", "val", "test", "all"]
"""Images of the target to learn from. ``all``, and ``test`` with images that are scored later, are transductive."""

SOURCE_ZOOM = "source_zoom"
"""Key in the provenance of an adapted segmenter."""
_DECIDED_BY_INIT = ("model", "arguments", "task", "heads", "offsets", "intensity", "pixel_size_nm", "neighbours")


def read_domains(
    source: Dataset,
    target: Dataset,
    part: TargetPart | None,
    few: Path | str | None = None,
    read: ReadOptions | None = None,
) -> Domains:
    """The domains of an adaptation, checked against each other.

    Args:
        source: Opened with labels.
        target: Opened without.
        part: Images of the target to learn from; those for training where ``dataset.yaml`` has a split, else all.
        few: A folder with a few labelled images of the target.
        read: How to read these.

    Raises:
        BadInput: They have different channels, or there is nothing to learn from: no images, or nothing in them.
    """
    train = source.labelled("train")
    validation = source.labelled("val") if source.split["val"] else None
    images = target.unlabelled(_part(target, part))
    if len(images) == 0:
        raise BadInput(target.root, f"part {part} is empty", "images to learn from", "choose another --target-part")
    _same_channels(train, images)
    _check_content(images)
    labelled = None
    if few is not None:
        labelled = open_dataset(few, read).labelled(None)
        _same_channels(train, labelled)
    return Domains(train, validation, images, labelled)


def _check_content(images: UnlabelledImages) -> None:
    """Refuse images of which not one has two grey levels; the first that has ends the search."""
    levels = Intensity(kind="percentiles", low=0, high=100)
    for region in images:
        low, high = levels.range_of(region.image, region.roi)
        if low < high:
            return
    found = f"one grey level ({low:g}) in all of {len(images)} image(s)"
    raise BadInput(images[0].image.path, found, "images with something in them", "look at how they were exported")


def _part(target: Dataset, part: TargetPart | None) -> Literal["train", "val", "test"] | None:
    if part is None:
        return None if target.description.split is None else "train"
    return None if part == "all" else part


def _same_channels(source: LabelledImages, other: LabelledImages | UnlabelledImages) -> None:
    if source.channels != other.channels:
        raise BadInput(
            other[0].image.path,
            f"{other.channels} channel(s)",
            f"{source.channels} as {source[0].image.path.name} of the source",
            "choose one with --channel",
        )


def begin(
    source: Dataset, domains: Domains, settings: AdaptSettings, init: Path | str | None = None
) -> tuple[Segmenter, AdaptSettings]:
    """The segmenter to begin with, and the settings with what follows from it and from the source.

    Args:
        source: The source.
        domains: Source and target.
        settings: What was asked for.
        init: A trained segmenter, which then decides on model, task, heads, intensity and working pixels; one with
            low-rank adapters also on what learns.

    Raises:
        BadInput: It was trained for other channels or classes, or cannot be tuned as the settings ask.
    """
    if init is None:
        training = with_working_pixels(settings.train, domains.source, settings.object_px)
        spec = training.spec(domains.source.channels, source.classes)
        _refuse_directed(spec, "heads")
        segmenter = build_segmenter(spec, training.seed, training.weights)
        check_tuning(segmenter, training)
        return segmenter, settings.with_training(training)
    segmenter = load_segmenter(init)
    spec = segmenter.spec
    if spec.channels != domains.source.channels:
        raise BadInput(init, f"was trained for {spec.channels} channel(s)", f"{domains.source.channels} of the source")
    if spec.task == "semantic" and spec.classes != source.classes:
        raise BadInput(init, f"was trained for {spec.classes} classes", f"{source.classes} of the source")
    _refuse_directed(spec, init)
    own = {name: getattr(spec, name) for name in _DECIDED_BY_INIT} | {"zoom": _source_zoom(spec)}
    if has_adapters(segmenter.state_dict()):
        own["tune"] = "lora"
    training = TrainSettings.model_validate({**settings.train.model_dump(), **own})
    check_tuning(segmenter, training)
    return segmenter, settings.with_training(training)


def earlier_weights(init: Path | str, spec: SegmenterSpec) -> Path | None:
    """Weights from a quarter before the end of the training of a segmenter, where its run holds them.

    Args:
        init: The run.
        spec: What its segmenter is; None is returned where it is of an epoch that is no later.
    """
    path, made = Path(init) / EARLIER, spec.provenance
    epochs, best = made.get("epochs"), made.get("best_epoch")
    if not path.is_file() or not isinstance(epochs, int) or not isinstance(best, int):
        return None
    return path if best > earlier_epoch(epochs) else None


def _refuse_directed(spec: SegmenterSpec, subject: Subject) -> None:
    """Predictions are compared in several orientations, and learned from turned."""
    directed = [head for head in spec.heads if HEADS[head].directed]
    if directed:
        able = ", ".join(head.name for head in HEADS.values() if not head.directed)
        raise BadInput(subject, f"the head {directed[0]!r} cannot be adapted: it changes when images turn", able)


def _source_zoom(spec: SegmenterSpec) -> float:
    """The zoom at which a trained segmenter sees its source; ``input`` is the target's where it was adapted to one."""
    zoom = spec.provenance.get(SOURCE_ZOOM)
    return float(zoom) if isinstance(zoom, int | float) else spec.input.zoom
