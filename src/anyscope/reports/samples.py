"""An image with its reference and its prediction, as a report shows it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from anyscope.contracts import Labels, Task
from anyscope.errors import BadInput
from anyscope.geometry import VoxelSize
from anyscope.metrics import contingency
from anyscope.metrics.object_errors import ObjectErrors, object_errors
from anyscope.reports import palette, pictures
from anyscope.reports.colouring import matching_colours
from anyscope.reports.error_crops import marks
from anyscope.reports.error_pictures import error_layer
from anyscope.reports.object_findings import ObjectError
from anyscope.reports.pictures import GalleryItem, Layer, Mark, Panel


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
        errors: Of instances, where the plane is one of a stack whose objects go through planes; otherwise they are
            those of the plane.
        listed: Errors of this image that a list shows: the picture is tagged where the plane shows them.

    Raises:
        BadInput: The three are not two-dimensional arrays of one shape with at least one pixel.
    """

    name: str
    image: NDArray[np.floating]
    reference: Labels
    prediction: Labels
    score: float | None = None
    voxel_size_nm: VoxelSize | None = None
    errors: ObjectErrors | None = None
    listed: tuple[ObjectError, ...] = ()

    @cached_property
    def object_errors(self) -> ObjectErrors:
        """Of the objects of the stack, or else of the plane."""
        return self.errors or object_errors(contingency(self.reference, self.prediction))

    def __post_init__(self) -> None:
        shapes = self.image.shape, self.reference.shape, self.prediction.shape
        if len(set(shapes)) != 1 or self.image.ndim != 2 or self.image.size == 0:
            found = "image {}, reference {}, prediction {}".format(*shapes)
            raise BadInput(self.name, found, "three planes (y, x) of the same shape")


def legend(several_classes: bool = False) -> tuple[tuple[str, str], ...]:
    """Colours of the pictures of masks and classes and what they mean: (CSS colour, meaning)."""
    named: tuple[tuple[palette.Colour, str], ...] = (
        (palette.REFERENCE, "in the reference only: missed"),
        (palette.PREDICTION, "in the prediction only: invented"),
        (palette.BOTH, "in both"),
    )
    if several_classes:
        named = (*named, (palette.CONFUSED, "in both, as another class"))
    return tuple((f"rgb{colour}", meaning) for colour, meaning in named)


def gallery_item(sample: Sample, task: Task, note: str = "") -> GalleryItem:
    """The views of a sample: the image, what is outlined in it, and the errors."""
    rows, columns = sample.image.shape
    shape = pictures.shown_shape((rows, columns))
    fine = pictures.drawn_shape((rows, columns), shape)
    grey = pictures.shrink(pictures.to_grey(sample.image), shape)
    reference = pictures.resample_labels(sample.reference, fine)
    prediction = pictures.resample_labels(sample.prediction, fine)
    width = pictures.line_width(fine)

    def panel(caption: str, alt: str, layer: Layer, base_opacity: float, tags: tuple[Mark, ...] = ()) -> Panel:
        uri = pictures.png_uri(pictures.soften(layer, shape))
        return Panel(caption, f"{sample.name}: {alt}", (uri,), base_opacity, tags)

    panels = [Panel("Image", f"{sample.name}: the image")]
    if task == "instances":
        colours = matching_colours(sample.reference, sample.prediction)
        alt = "objects, each in a colour other than its neighbours', partners in the same"
        for caption, labels, colouring in zip(
            ("Reference objects", "Predicted objects"), (reference, prediction), colours, strict=True
        ):
            layer = pictures.objects(labels, width, pictures.FILLING, colouring)
            panels.append(panel(caption, f"{caption.split()[0].lower()} {alt}", layer, 1.0))
        layer = error_layer(reference, prediction, sample.object_errors, width)
        tags = marks(
            sample.listed,
            pictures.resample_labels(sample.reference, shape),
            pictures.resample_labels(sample.prediction, shape),
        )
        panels.append(panel("Errors", "split, merged, missed and invented objects", layer, 0.6, tags))
    else:
        layer = pictures.outlines(reference, prediction, width)
        panels.append(panel("Outlines", "outlines of reference and prediction over the image", layer, 0.8))
        panels.append(panel("Errors", "missed and invented pixels", pictures.errors(reference, prediction), 0.5))
    size = sample.voxel_size_nm
    bar = pictures.scale_bar(columns, size.x) if size is not None else None
    return GalleryItem(sample.name, note, pictures.png_uri(grey), shape[1], shape[0], tuple(panels), bar)
