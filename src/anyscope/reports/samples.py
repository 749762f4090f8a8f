"""An image with its reference and its prediction, as a report shows it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anyscope.contracts import Labels, Task
from anyscope.errors import BadInput
from anyscope.geometry import VoxelSize
from anyscope.reports import pictures
from anyscope.reports.pictures import GalleryItem, Layer, Panel


@dataclass(frozen=True)
class Sample:
    """One plane of an image and what was predicted for it.

    Args:
        name: The image.
        image: (y, x), any range; NaN is shown black.
        reference: (y, x), 0 background.
        prediction: (y, x), 0 background.
        score: Its score, None where it has none.
        voxel_size_nm: Gives the scale bar; None where unknown.

    Raises:
        BadInput: The three are not two-dimensional arrays of one shape with at least one pixel.
    """

    name: str
    image: NDArray[np.floating]
    reference: Labels
    prediction: Labels
    score: float | None = None
    voxel_size_nm: VoxelSize | None = None

    def __post_init__(self) -> None:
        shapes = self.image.shape, self.reference.shape, self.prediction.shape
        if len(set(shapes)) != 1 or self.image.ndim != 2 or self.image.size == 0:
            found = "image {}, reference {}, prediction {}".format(*shapes)
            raise BadInput(self.name, found, "three planes (y, x) of the same shape")


def legend(task: Task, several_classes: bool = False) -> tuple[tuple[str, str], ...]:
    """Colours of the pictures and what they mean: (CSS colour, meaning)."""
    missed, invented = "in the reference only: missed", "in the prediction only: invented"
    both, confused = "in both", "in both, as another class"
    if task == "instances":
        missed, invented = "reference only: missed objects", "prediction only: invented objects"
        both, confused = "in both: partners with IoU above 0.5", "missed and invented: split, merged or displaced"
    named: tuple[tuple[pictures.Colour, str], ...] = (
        (pictures.REFERENCE, missed),
        (pictures.PREDICTION, invented),
        (pictures.BOTH, both),
    )
    if task == "instances" or several_classes:
        named = (*named, (pictures.CONFUSED, confused))
    return tuple((f"rgb{colour}", meaning) for colour, meaning in named)


def gallery_item(sample: Sample, task: Task, note: str = "") -> GalleryItem:
    """The views of a sample: the image, both outlines, the errors and, for instances, the predicted objects."""
    rows, columns = sample.image.shape
    shape = pictures.shown_shape((rows, columns))
    grey = pictures.shrink(pictures.to_grey(sample.image), shape)
    reference = pictures.resample_labels(sample.reference, shape)
    prediction = pictures.resample_labels(sample.prediction, shape)
    panels = [
        Panel("Image", f"{sample.name}: the image"),
        _panel("Outlines", f"{sample.name}: outlines of reference and prediction over the image",
               pictures.outlines(reference, prediction, pictures.line_width(shape)), 0.8),
    ]  # fmt: skip
    if task == "instances":
        alt = f"{sample.name}: predicted objects, each in a colour other than its neighbours'"
        panels.append(_panel("Predicted objects", alt, pictures.objects(prediction, pictures.line_width(shape))))
        layer = pictures.object_errors(reference, prediction, pictures.line_width(shape))
        panels.append(_panel("Errors", f"{sample.name}: missed and invented objects", layer, 0.5))
    else:
        layer = pictures.errors(reference, prediction)
        panels.append(_panel("Errors", f"{sample.name}: missed and invented pixels", layer, 0.5))
    size = sample.voxel_size_nm
    bar = pictures.scale_bar(columns, size.x) if size is not None else None
    return GalleryItem(sample.name, note, pictures.png_uri(grey), shape[1], shape[0], tuple(panels), bar)


def _panel(caption: str, alt: str, layer: Layer, base_opacity: float = 1.0) -> Panel:
    return Panel(caption, alt, (pictures.png_uri(layer),), base_opacity)
