"""A stack to scroll through: planes with outlines of the reference, of the prediction, and with the errors.

The pictures of all planes are in the page, so their size is bounded: by the number of planes, by their longer side, and
by the bytes of all of them together, to which the first two give way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from anyscope.contracts import Labels, Task
from anyscope.errors import BadInput
from anyscope.geometry import VoxelSize
from anyscope.metrics.object_errors import ObjectErrors
from anyscope.reports import pictures
from anyscope.reports.colouring import Colouring, matching_colours
from anyscope.reports.error_pictures import error_layer
from anyscope.reports.pictures import ScaleBar
from anyscope.reports.tiles import jpeg_uri

_SMALLEST_PX = 192
"""Planes are left out before those that remain become smaller than this."""


@dataclass(frozen=True)
class StackLimits:
    """How large a stack may be in a page.

    Args:
        planes: At most so many planes, spread evenly.
        longest_px: Bound of the longer side of a picture.
        characters: Bound of all pictures together, as they stand in the page.
    """

    planes: int = 40
    longest_px: int = 512
    characters: int = 6_000_000


@dataclass(frozen=True, eq=False)
class Stack:
    """Planes of an image, and what was predicted for them.

    Args:
        name: The image.
        image: (z, y, x), any range.
        reference: (z, y, x), 0 background.
        prediction: (z, y, x), 0 background.
        z: (z,) the number of each plane in the image, increasing.
        depth: How many planes the image has.
        errors: Of instances: one for the whole stack, or one for each plane where ids count per plane.
        score: Of the stack in words, empty for none.
        voxel_size_nm: Gives the scale bar; None where unknown.

    Raises:
        BadInput: Shapes or numbers of planes do not agree.
    """

    name: str
    image: NDArray[np.floating]
    reference: Labels
    prediction: Labels
    z: tuple[int, ...]
    depth: int
    errors: tuple[ObjectErrors, ...] = ()
    score: str = ""
    voxel_size_nm: VoxelSize | None = None

    def __post_init__(self) -> None:
        shapes = self.image.shape, self.reference.shape, self.prediction.shape
        if len(set(shapes)) != 1 or self.image.ndim != 3 or self.image.size == 0 or len(self.z) != shapes[0][0]:
            found = "image {}, reference {}, prediction {}, {} planes".format(*shapes, len(self.z))
            raise BadInput(self.name, found, "three stacks (z, y, x) of the same shape")
        if len(self.errors) not in (0, 1, len(self.z)):
            raise BadInput(self.name, f"errors of {len(self.errors)} images", "one, or one for each plane")

    @property
    def by_plane(self) -> bool:
        """Whether ids count per plane."""
        return len(self.errors) > 1

    def of_planes(self, step: int) -> Stack:
        """Every ``step``-th plane."""
        return replace(
            self,
            image=self.image[::step],
            reference=self.reference[::step],
            prediction=self.prediction[::step],
            z=self.z[::step],
            errors=self.errors[::step] if self.by_plane else self.errors,
        )


@dataclass(frozen=True)
class Plane:
    """One plane: its number in the stack, the image, and a layer for each view after the first, as data URIs."""

    z: int
    base: str
    layers: tuple[str, ...]


@dataclass(frozen=True)
class StackItem:
    """A stack as the page shows it.

    Args:
        name: The image.
        note: Which planes are shown, and its score.
        width: Of the layers, in their pixels.
        height: Of the layers, in their pixels.
        views: What each view shows, the first is the image alone; each later one has a layer in every plane.
        planes: Without scripts only the middle one is seen.
        filled: Whether objects have fillings that can be turned off.
        scale_bar: None where the pixel size is unknown.
    """

    name: str
    note: str
    width: int
    height: int
    views: tuple[str, ...]
    planes: tuple[Plane, ...]
    filled: bool
    scale_bar: ScaleBar | None = None

    @property
    def middle(self) -> int:
        """Place of the plane that is shown first."""
        return len(self.planes) // 2

    @property
    def characters(self) -> int:
        """Length of all pictures."""
        return sum(len(plane.base) + sum(map(len, plane.layers)) for plane in self.planes)


def chosen_planes(depth: int, limit: int) -> tuple[int, ...]:
    """At most ``limit`` planes of ``depth``, evenly spread, the first and the last among them where there are several.

    >>> chosen_planes(5, 9), chosen_planes(100, 4), chosen_planes(7, 1)
    ((0, 1, 2, 3, 4), (0, 33, 66, 99), (3,))
    """
    if depth <= limit:
        return tuple(range(depth))
    if limit == 1:
        return (depth // 2,)
    return tuple(round(place * (depth - 1) / (limit - 1)) for place in range(limit))


def stack_item(stack: Stack, task: Task, limits: StackLimits | None = None) -> StackItem:
    """Draw a stack within the limits.

    Args:
        stack: Of more planes than the limits allow, only some are drawn.
        task: ``instances`` draws objects in colours and their errors, ``semantic`` outlines and wrong pixels.
        limits: What fits into the page.
    """
    limits = limits or StackLimits()
    if len(stack.z) > limits.planes:
        stack = stack.of_planes(-(-len(stack.z) // limits.planes))
    longest = limits.longest_px
    while True:
        drawing = _Drawing(stack, task, longest)
        middle = drawing.plane(len(stack.z) // 2)
        expected = (len(middle.base) + sum(map(len, middle.layers))) * len(stack.z)
        last = longest <= _SMALLEST_PX and len(stack.z) == 1
        if last or expected <= limits.characters:
            item = drawing.item()
            if last or item.characters <= limits.characters:
                return item
        if longest > _SMALLEST_PX:
            longest = max(_SMALLEST_PX, round(longest * 0.8))
        else:
            stack = stack.of_planes(2)


class _Drawing:
    """A stack at one size."""

    def __init__(self, stack: Stack, task: Task, longest_px: int) -> None:
        shape = stack.image.shape[1], stack.image.shape[2]
        self._stack, self._task = stack, task
        self._shape = pictures.shown_shape(shape, longest_px)
        self._width = pictures.line_width(self._shape)
        # One range for all planes: a stack that flickers is hard to read.
        self._grey = pictures.to_grey(stack.image)
        coarse = shape if max(shape) <= longest_px else self._shape
        first, second = (
            np.stack([pictures.resample_labels(plane, coarse) for plane in labels])
            for labels in (stack.reference, stack.prediction)
        )
        self._labels = first, second
        self._colours: list[tuple[Colouring, Colouring]] = []
        if task == "instances" and stack.by_plane:
            self._colours = [matching_colours(*pair) for pair in zip(first, second, strict=True)]
        elif task == "instances":
            self._colours = [matching_colours(first, second)]

    def plane(self, place: int) -> Plane:
        grey = pictures.shrink(self._grey[place], self._shape)
        layers = tuple(pictures.png_uri(layer) for layer in self._layers(place))
        return Plane(self._stack.z[place], jpeg_uri(grey), layers)

    def _layers(self, place: int) -> Sequence[pictures.Layer]:
        first, second = (pictures.resample_labels(labels[place], self._shape) for labels in self._labels)
        nothing = np.zeros(self._shape, np.uint8)
        if self._task == "semantic":
            return (
                pictures.outlines(first, nothing, self._width),
                pictures.outlines(nothing, second, self._width),
                pictures.errors(first, second),
            )
        colours = self._colours[place if len(self._colours) > 1 else 0]
        layers = [
            pictures.objects(labels, self._width, pictures.FILLING, colouring)
            for labels, colouring in zip((first, second), colours, strict=True)
        ]
        if self._stack.errors:
            errors = self._stack.errors[place if self._stack.by_plane else 0]
            layers.append(error_layer(first, second, errors, self._width))
        return layers

    def item(self) -> StackItem:
        stack = self._stack
        planes = tuple(self.plane(place) for place in range(len(stack.z)))
        views = ("Image", "Reference", "Prediction", "Errors")[: 1 + len(planes[0].layers)]
        size = stack.voxel_size_nm
        bar = pictures.scale_bar(stack.image.shape[2], size.x) if size is not None else None
        shown = "all planes" if len(planes) == stack.depth else f"{len(planes)} of {stack.depth} planes"
        height, width = stack.image.shape[1:]
        if max(height, width) > max(self._shape):
            shown += f", {width} x {height} pixels shown as {self._shape[1]} x {self._shape[0]}"
        note = ", ".join(filter(None, (stack.score, shown)))
        filled = self._task == "instances"
        return StackItem(stack.name, note, self._shape[1], self._shape[0], views, planes, filled, bar)
