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


def object_diameter_px(source: LabelledImages, task: Task) -> float | None:
    """Diameter, in own pixels, of the disc as large as the object that a foreground pixel is in, on average.

    Averaged over pixels and not over objects, since specks outnumber what matters. None without foreground. At most 24
    planes are looked at, evenly spread.
    """
    planes = [(region, z) for region in source for z in range(region.roi.shape[0])]
    chosen = [planes[int(i)] for i in np.linspace(0, len(planes) - 1, min(_PLANES, len(planes)))]
    sizes: list[float] = []
    for region, z in chosen:
        labels = region.planes(z, z + 1).read_reference(task)[0]
        whole = labels if task == "instances" and region.kind == "instances" else components(labels > 0, 2, 2)
        sizes += morphology(whole)["size"].tolist()
    if not sizes:
        return None
    area = float(np.average(sizes, weights=sizes))
    return math.sqrt(4 * area / math.pi)


def with_working_pixels(settings: TrainSettings, source: LabelledImages, object_px: float) -> TrainSettings:
    """Settings whose working pixels make the source's objects ``object_px`` across, unless they are smaller already.

    Where the settings name working pixels or a zoom, they are left as they are. With a known pixel size the working
    pixel size is set, which then holds for the target too; otherwise the zoom.

    Args:
        settings: Settings of training.
        source: The training part of the source; labels of the target are never looked at.
        object_px: Wanted diameter; 0 for the images' own pixels.
    """
    if not object_px or settings.pixel_size_nm is not None or settings.zoom != 1:
        return settings
    diameter = object_diameter_px(source, settings.task)
    if diameter is None or object_px / diameter > _WORTH_WHILE:
        return settings
    shrink = object_px / diameter
    sizes = [region.pixel_size_nm for region in source]
    known = [size for size in sizes if size is not None]
    if len(known) == len(sizes):
        return settings.model_copy(update={"pixel_size_nm": float(f"{np.median(known) / shrink:.3g}")})
    return settings.model_copy(update={"zoom": max(0.1, float(f"{shrink:.3g}"))})
