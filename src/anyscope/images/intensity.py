"""The intensity convention: images become float32 in 0..1 by one stated range for each image."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, model_validator

from anyscope.contracts import Unit
from anyscope.errors import BadInput, EnvironmentFault
from anyscope.geometry import Roi
from anyscope.images.image import Image

MAX_VALUES = 1 << 24
"""Images of up to so many values are looked at as a whole; of larger ones, about so many are sampled."""

_MAX_PLANES = 64
_BOX_SIDE = 1024
_COUNTED_AT_ONCE = 1 << 20
_HUGE = 1e300
"""Floats beyond this count as this, so that differences stay finite."""


class Intensity(BaseModel):
    """From which range an image is scaled to 0..1; taken once for each image, the same in training and prediction.

    Args:
        kind: ``dtype``: the full range of the integer type (floats must lie in 0..1 and stay as they are);
            ``percentiles``: between two percentiles of the image's finite values; ``fixed``: between two given values.
        low: Percentile (0..100) or value that becomes 0.
        high: Percentile (0..100) or value that becomes 1.

    >>> str(Intensity()), str(Intensity.parse("fixed:0,4095"))
    ('percentiles:0.1,99.9', 'fixed:0,4095')
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["dtype", "percentiles", "fixed"] = "percentiles"
    low: float | None = None
    high: float | None = None

    @model_validator(mode="before")
    @classmethod
    def _fill_percentiles(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("kind", "percentiles") == "percentiles":
            given = {key: value for key, value in data.items() if value is not None}
            return {"low": 0.1, "high": 99.9, **given}
        return data

    @model_validator(mode="after")
    def _check(self) -> Self:
        low, high = self.low, self.high
        if self.kind == "dtype":
            if low is not None or high is not None:
                raise ValueError("the range of the dtype has no low and high")
        elif low is None or high is None or not math.isfinite(high - low) or low >= high:
            raise ValueError(f"{self.kind} needs two finite numbers low < high, not {low} and {high}")
        elif self.kind == "percentiles" and not 0 <= low < high <= 100:
            raise ValueError(f"percentiles lie in 0..100, not {low} and {high}")
        return self

    @classmethod
    def parse(cls, text: str) -> Intensity:
        """From ``"dtype"``, ``"percentiles"``, ``"percentiles:LOW,HIGH"`` or ``"fixed:LOW,HIGH"``.

        Raises:
            BadInput: Anything else.
        """
        kind, colon, rest = text.strip().partition(":")
        try:
            if not colon and kind in ("dtype", "percentiles"):
                return cls(kind=kind)
            low, high = (float(number) for number in rest.split(","))
            return cls(kind=kind, low=low, high=high)
        except ValueError as error:
            expected = '"dtype", "percentiles:0.1,99.9" or "fixed:0,255" with low < high'
            raise BadInput("range", f"{text!r}", expected) from error

    def __str__(self) -> str:
        return self.kind if self.kind == "dtype" else f"{self.kind}:{self.low:.12g},{self.high:.12g}"

    def range_of(self, image: Image, region: Roi | None = None, unread: list[Roi] | None = None) -> tuple[float, float]:
        """The values that become 0 and 1, over all channels of an image.

        Percentiles ignore NaN and infinities. They are exact up to :data:`MAX_VALUES` values; larger images are sampled
        at evenly spaced boxes and pixels, the same ones every time, in memory that does not grow with the image.

        Args:
            image: The image.
            region: Take the range from this part of it (z, y, x).
            unread: Boxes that cannot be read are left out and noted here; None to stop at the first.

        Raises:
            BadInput: ``dtype`` for floats outside of 0..1, whose range no dtype tells.
        """
        if self.kind == "fixed":
            return float(self.low or 0.0), float(self.high or 0.0)
        if self.kind == "dtype" and image.dtype.kind == "b":
            return 0.0, 1.0
        if self.kind == "dtype" and image.dtype.kind in "iu":
            limits = np.iinfo(image.dtype)
            return float(limits.min), float(limits.max)
        return self._range_among(sample(image, region, unread), image)

    def depends_on_values(self, image: Image) -> bool:
        """Whether pixels have to be read to know the range."""
        return self.kind == "percentiles" or (self.kind == "dtype" and image.dtype.kind == "f")

    def _range_among(self, values: NDArray[Any], image: Image) -> tuple[float, float]:
        if self.kind == "dtype":
            if values.size and (values.min() < 0 or values.max() > 1):
                found = f"float values from {values.min():g} to {values.max():g}"
                remedy = "choose --range percentiles:0.1,99.9 or --range fixed:LOW,HIGH"
                raise BadInput(image.path, found, "values in 0..1 for the range of the dtype", remedy)
            return 0.0, 1.0
        if not values.size:
            return 0.0, 0.0
        low, high = percentiles(values, (float(self.low or 0.0), float(self.high or 0.0)))
        return low, high


def sample(image: Image, region: Roi | None = None, unread: list[Roi] | None = None) -> NDArray[Any]:
    """Finite values of an image, flat: all of a small one, about :data:`MAX_VALUES` of a large one.

    bool becomes uint8 and floats become float64, so that percentiles can be taken. With ``unread``, boxes that cannot
    be read are left out and noted there.
    """
    region = region or Roi.whole(image.shape[1:])
    if image.shape[0] * region.size <= MAX_VALUES and unread is None:
        return _finite(image.read(region))
    depth = min(image.planes_at_once, _MAX_PLANES)
    boxes = _boxes(region, depth)
    if image.shape[0] * region.size > MAX_VALUES:
        step = -(-len(boxes) * depth // _MAX_PLANES)
        # The middle of each run of boxes, so that the rim of the image does not weigh more than the rest.
        boxes = boxes[step // 2 :: step]
    n_values = image.shape[0] * sum(box.size for box in boxes)
    stride = max(1, math.ceil(math.sqrt(n_values / MAX_VALUES)))
    parts = []
    for number, box in enumerate(boxes, 1):
        try:
            parts.append(_finite(image.read(box)[..., ::stride, ::stride]))
        except (BadInput, EnvironmentFault):
            if unread is None or (number == len(boxes) and not parts):
                raise
            unread.append(box)
    return np.concatenate(parts)


def _boxes(region: Roi, depth: int) -> list[Roi]:
    """The region cut into boxes of ``depth`` planes of at most 1024 x 1024 pixels, along the grid of the chunks."""
    (z0, y0, x0), (z1, y1, x1) = region.start, region.stop
    return [
        Roi((max(z, z0), y, x), (min(z + depth, z1), min(y + _BOX_SIDE, y1), min(x + _BOX_SIDE, x1)))
        for z in range(z0 // depth * depth, z1, depth)
        for y in range(y0, y1, _BOX_SIDE)
        for x in range(x0, x1, _BOX_SIDE)
    ]


def _finite(array: NDArray[Any]) -> NDArray[Any]:
    flat = array.ravel()
    if flat.dtype.kind == "b":
        return flat.view(np.uint8)
    if flat.dtype.kind == "f":
        flat = flat[np.isfinite(flat)]
        # Half floats overflow where percentiles are interpolated, and so do doubles near their limits.
        flat = flat.astype(np.float64)
        np.clip(flat, -_HUGE, _HUGE, out=flat)
    return flat


def percentiles(values: NDArray[Any], percents: tuple[float, ...]) -> tuple[float, ...]:
    """Percentiles of finite values, with linear interpolation as by :func:`numpy.percentile`.

    Integers of 8 and 16 bits are counted rather than sorted, which is faster and gives the same numbers; sorting the
    others is still faster than looking for the wanted ones, as processors sort many at once.

    >>> percentiles(np.array([1, 2, 4], np.uint8), (0, 50, 75))
    (1.0, 2.0, 3.0)
    """
    value_at = (
        _sorted_values(values) if values.dtype.kind not in "iu" or values.dtype.itemsize > 2 else _counted(values)
    )
    found = []
    for percent in percents:
        position = percent / 100 * (values.size - 1)
        below, above = value_at(math.floor(position)), value_at(math.ceil(position))
        found.append(below + (above - below) * (position - math.floor(position)))
    return tuple(found)


def _sorted_values(values: NDArray[Any]) -> Callable[[int], float]:
    ordered = np.sort(values)
    return lambda rank: float(ordered[rank])


def _counted(values: NDArray[Any]) -> Callable[[int], float]:
    """The sorted values, by rank, of small integers."""
    first = int(values.min())
    counts = np.zeros(int(values.max()) - first + 1, np.int64)
    for start in range(0, values.size, _COUNTED_AT_ONCE):
        part = values[start : start + _COUNTED_AT_ONCE].astype(np.int32) - first
        counts += np.bincount(part, minlength=counts.size)
    up_to = np.cumsum(counts)
    return lambda rank: first + float(np.searchsorted(up_to, rank, side="right"))


def to_unit(array: NDArray[Any], value_range: tuple[float, float]) -> NDArray[np.float32]:
    """Scale values to 0..1 and cut what lies outside.

    NaN becomes 0, as does everything where the range is empty (constant images).

    >>> to_unit(np.array([0, 50, 300]), (0, 100)).tolist()
    [0.0, 0.5, 1.0]
    """
    if not value_range[0] < value_range[1]:
        return np.zeros(array.shape, np.float32)
    if array.dtype.itemsize <= 2 and array.dtype.isnative:
        # Every number that the type can hold is scaled once.
        code = np.dtype(f"u{array.dtype.itemsize}")
        numbers = np.arange(np.iinfo(code).max + 1, dtype=code).view(array.dtype)
        return np.asarray(_scale(numbers, value_range)[np.ascontiguousarray(array).view(code)], np.float32)
    unit = np.empty(array.shape, np.float32)
    planes = array.reshape(-1, *array.shape[-2:]) if array.ndim > 2 else array[None]
    for plane, out in zip(planes, unit.reshape(planes.shape), strict=True):
        out[...] = _scale(plane, value_range)
    return unit


def _scale(values: NDArray[Any], value_range: tuple[float, float]) -> NDArray[np.float32]:
    low, high = value_range
    with np.errstate(all="ignore"):
        scaled = (values.astype(np.float64) - low) / (high - low)
    np.clip(scaled, 0.0, 1.0, out=scaled)
    return np.nan_to_num(scaled, copy=False, nan=0.0).astype(np.float32)


def load_unit(image: Image, intensity: Intensity, region: Roi | None = None) -> Unit:
    """Read an image (c, z, y, x) as float32 in 0..1.

    A region counts as an image of its own: its range is taken from what is in it, so that the test half of a stack does
    not shape the training half. Who reads one image piece by piece takes :meth:`Intensity.range_of` once instead.
    """
    size = image.shape[0] * (region or Roi.whole(image.shape[1:])).size
    if intensity.depends_on_values(image) and size <= MAX_VALUES:
        array = image.read(region)  # decoded once for both
        return to_unit(array, intensity._range_among(_finite(array), image))
    return to_unit(image.read(region), intensity.range_of(image, region))
