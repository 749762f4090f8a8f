"""At which pixels a network works, when nobody said: as coarse as the objects of the source allow."""

from __future__ import annotations

import math

import numpy as np

from anyscope.contracts import Task
from anyscope.datasets import LabelledImages
from anyscope.images.components import components
from anyscope.metrics import morphology
from anyscope.training.settings import TrainSettings

_PLANES = 24
_WORTH_WHILE = 0.8
"""Images are left as they are where they would become only so much smaller."""

OBJECT_PX = 40.0
"""How far across objects are that small networks learn well from few steps: mitochondria of vnc at half their pixels
(40 across) reach .60 after 400 steps, at their own .40 after 600."""
_LARGE = 1.75
"""Advice is given where objects are so many times larger."""


def object_diameter_px(source: LabelledImages, task: Task) -> float | None:
    """Diameter, in own pixels, of the disc as large as the object that a foreground pixel is in, on average.

    Averaged over pixels and not over objects, since specks outnumber what matters. None without foreground. At most 24
    planes are looked at, evenly spread.
    """
    return _look(source, task)[0]


def advice(settings: TrainSettings, source: LabelledImages) -> str | None:
    """One line for who trains at pixels that are needlessly fine; None where they are not, or somebody chose them.

    Labels that fill the images, as those of neurites do, are left alone: the walls between them are what is learned.

    Args:
        settings: Settings of training.
        source: The training part.
    """
    if _chosen(settings):
        return None
    diameter, foreground = _look(source, settings.task)
    if diameter is None or diameter < _LARGE * OBJECT_PX or foreground > 0.5:
        return None
    better = _with_objects(settings, source, diameter, OBJECT_PX)
    key = "zoom" if better.pixel_size_nm is None else "pixel_size_nm"
    return (
        f"objects are about {diameter:.0f} pixels across; a small network learns objects of about {OBJECT_PX:.0f} "
        f"sooner, and finds them faster: --set {key}={getattr(better, key):g}"
    )


def with_working_pixels(settings: TrainSettings, source: LabelledImages, object_px: float) -> TrainSettings:
    """Settings whose working pixels make the source's objects ``object_px`` across, unless they are smaller already.

    Where the settings name working pixels or a zoom, they are left as they are. With a known pixel size the working
    pixel size is set, which then holds for the target too; otherwise the zoom.

    Args:
        settings: Settings of training.
        source: The training part of the source; labels of the target are never looked at.
        object_px: Wanted diameter; 0 for the images' own pixels.
    """
    if not object_px or _chosen(settings):
        return settings
    diameter = object_diameter_px(source, settings.task)
    if diameter is None or object_px / diameter > _WORTH_WHILE:
        return settings
    return _with_objects(settings, source, diameter, object_px)


def _chosen(settings: TrainSettings) -> bool:
    """Whether somebody said at which pixels the network works."""
    return settings.pixel_size_nm is not None or settings.zoom != 1


def _with_objects(settings: TrainSettings, source: LabelledImages, diameter: float, object_px: float) -> TrainSettings:
    shrink = object_px / diameter
    sizes = [region.pixel_size_nm for region in source]
    known = [size for size in sizes if size is not None]
    if len(known) == len(sizes):
        return settings.model_copy(update={"pixel_size_nm": float(f"{np.median(known) / shrink:.3g}")})
    return settings.model_copy(update={"zoom": max(0.1, float(f"{shrink:.3g}"))})


def _look(source: LabelledImages, task: Task) -> tuple[float | None, float]:
    """Diameter of objects, see :func:`object_diameter_px`, and the share of the pixels that is foreground."""
    planes = [(region, z) for region in source for z in range(region.roi.shape[0])]
    chosen = [planes[int(i)] for i in np.linspace(0, len(planes) - 1, min(_PLANES, len(planes)))]
    sizes: list[float] = []
    pixels = 0
    for region, z in chosen:
        labels = region.planes(z, z + 1).read_reference(task)[0]
        whole = labels if task == "instances" and region.kind == "instances" else components(labels > 0, 2, 2)
        sizes += morphology(whole)["size"].tolist()
        pixels += labels.size
    if not sizes:
        return None, 0.0
    area = float(np.average(sizes, weights=sizes))
    return math.sqrt(4 * area / math.pi), sum(sizes) / pixels
