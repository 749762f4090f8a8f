"""Scenes: real label images as a store of shapes, places and brightness, from which new ones are made.

A new scene takes the places of the objects of one real image (mirrored on and on where the new one is larger), and puts
another object of that image at each: turned, mirrored, moved a little. So sizes, density and touching neighbours are
those of the image, every outline is a real one, and no scene has been seen before. Its label image is exact.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from anyscope.contracts import Labels
from anyscope.errors import BadInput

Floats = NDArray[np.float32]
_ATTEMPTS = 50
_KEPT = 0.5
"""Of an object that others cover, so much must be left; otherwise it is dropped."""
_JITTER = 0.15
"""Standard deviation of an object's displacement, in its own radii."""
_FAR_PX = 4
"""Background is measured so far from objects, whose skirts are not background."""


@dataclass(frozen=True, eq=False)
class Scene:
    """A label image, a real or a new one, with how bright its objects are.

    Args:
        labels: Ids 1..n (y, x), 0 background.
        levels: Mean brightness of each object (n) in 0..1.
        background: Brightness far from objects in 0..1.
    """

    labels: NDArray[np.int32]
    levels: Floats
    background: float

    @classmethod
    def of(cls, labels: Labels, image: Floats) -> Scene | None:
        """The scene of a label image (y, x) and its image in 0..1; None without objects or without background."""
        ids, places = np.unique(labels, return_inverse=True)
        numbered: NDArray[np.int32] = places.reshape(labels.shape).astype(np.int32) + np.int32(ids[0] != 0)
        count = int(numbered.max(initial=0))
        far = ndimage.distance_transform_edt(numbered == 0) > _FAR_PX
        if not count or not (numbered == 0).any():
            return None
        dark = image[far] if far.any() else image[numbered == 0]
        levels = ndimage.mean(image, numbered, np.arange(1, count + 1)).astype(np.float32)
        return cls(numbered, levels, float(np.median(dark)))

    @property
    def flat(self) -> Floats:
        """The scene (y, x) with every object as bright as it is everywhere."""
        return np.concatenate([[np.float32(self.background)], self.levels])[self.labels].astype(np.float32)

    @property
    def whole(self) -> list[int]:
        """Ids of the objects that no border cuts; of all of them where it cuts every one."""
        rim = np.concatenate([self.labels[0], self.labels[-1], self.labels[:, 0], self.labels[:, -1]])
        free = sorted(set(range(1, len(self.levels) + 1)) - set(rim.tolist()))
        return free or list(range(1, len(self.levels) + 1))


def draw_scene(scenes: Iterable[Scene], shape: tuple[int, int], random: np.random.Generator) -> Scene:
    """A new scene of ``shape`` (y, x) after one of ``scenes``, which is drawn.

    Raises:
        BadInput: There is none, or nothing but empty fields came of many attempts.
    """
    stored = list(scenes)
    if not stored:
        raise BadInput("scenes", "none with objects and background", "a labelled image that holds both")
    for _ in range(_ATTEMPTS):
        scene = stored[int(random.integers(len(stored)))]
        drawn = _after(scene, shape, random)
        if drawn is not None:
            return drawn
    raise BadInput("scenes", f"{_ATTEMPTS} fields of {shape} pixels were empty or full", "a larger --size")


def _after(scene: Scene, shape: tuple[int, int], random: np.random.Generator) -> Scene | None:
    boxes = ndimage.find_objects(scene.labels)
    whole = scene.whole
    depth, owner = np.zeros(shape, np.float32), np.zeros(shape, np.int32)
    levels, areas = [], []
    for y, x in _places(scene, shape, random):
        chosen = whole[int(random.integers(len(whole)))]
        stamp = _turned(scene.labels[boxes[chosen - 1]] == chosen, random)
        radius = np.sqrt(stamp.sum() / np.pi)
        corner = np.rint(
            np.array([y, x]) + radius * _JITTER * random.standard_normal(2) - np.array(stamp.shape) / 2
        ).astype(int)
        levels.append(scene.levels[chosen - 1])
        areas.append(_stamp(depth, owner, stamp, corner, len(levels)))
    return _finished(scene, owner, np.array(levels, np.float32), np.array(areas), random)


def _places(scene: Scene, shape: tuple[int, int], random: np.random.Generator) -> NDArray[np.float64]:
    """Centres (n, 2) of a mirrored, shifted and tiled copy of the scene's, with a margin of objects that are cut."""
    centres = np.array(ndimage.center_of_mass(scene.labels > 0, scene.labels, np.arange(1, len(scene.levels) + 1)))
    size = np.array(scene.labels.shape, float)
    if random.random() < 0.5:
        centres, size = centres[:, ::-1], size[::-1]
    margin = 0.5 * np.sqrt((scene.labels > 0).sum() / len(scene.levels))
    start = random.uniform(0, 2 * size)
    found = []
    reach = np.array(shape) + 2 * margin
    repeats = [int(np.ceil((start[axis] + reach[axis]) / size[axis])) + 1 for axis in (0, 1)]
    for row in range(-1, repeats[0]):
        for column in range(-1, repeats[1]):
            tile = np.where(np.array([row, column]) % 2, size - centres, centres) + np.array([row, column]) * size
            found.append(tile - start)
    all_places = np.concatenate(found)
    inside = ((all_places > -margin) & (all_places < np.array(shape) + margin)).all(axis=1)
    chosen: NDArray[np.float64] = all_places[inside]
    return chosen


def _turned(mask: NDArray[np.bool_], random: np.random.Generator) -> NDArray[np.bool_]:
    """The shape turned by any angle and perhaps mirrored, without a rim."""
    values = np.pad(mask, 1).astype(np.float32)
    if random.random() < 0.5:
        values = values[:, ::-1]
    turned = ndimage.rotate(values, float(random.uniform(0, 360)), order=1) > 0.5
    rows, columns = np.flatnonzero(turned.any(axis=1)), np.flatnonzero(turned.any(axis=0))
    if not rows.size:
        return mask
    return np.asarray(turned[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])


def _stamp(
    depth: Floats, owner: NDArray[np.int32], stamp: NDArray[np.bool_], corner: NDArray[np.int_], number: int
) -> int:
    """Put an object down; a pixel belongs to the one in which it lies deeper. Returns its area within the field."""
    first = np.maximum(corner, 0)
    last = np.minimum(corner + stamp.shape, depth.shape)
    if (first >= last).any():
        return 0
    field = tuple(slice(int(a), int(b)) for a, b in zip(first, last, strict=True))
    part = tuple(slice(int(a), int(b)) for a, b in zip(first - corner, last - corner, strict=True))
    inside = ndimage.distance_transform_edt(np.pad(stamp, 1))[1:-1, 1:-1][part].astype(np.float32)
    wins = inside > depth[field]
    depth[field][wins], owner[field][wins] = inside[wins], number
    return int((inside > 0).sum())


def _finished(
    scene: Scene, owner: NDArray[np.int32], levels: Floats, areas: NDArray[np.int_], random: np.random.Generator
) -> Scene | None:
    """Drop what is mostly covered or torn, number the rest, vary its brightness; None for an empty or a full field."""
    labels = np.zeros_like(owner)
    kept = []
    for number, box in enumerate(ndimage.find_objects(owner), start=1):
        if box is None:
            continue
        pieces, count = ndimage.label(owner[box] == number)
        sizes = np.bincount(pieces.ravel(), minlength=count + 1)
        largest = int(sizes[1:].argmax()) + 1
        if sizes[largest] >= _KEPT * areas[number - 1]:
            kept.append(number)
            labels[box][pieces == largest] = len(kept)
    if not kept or (labels > 0).all():
        return None
    spread = float(np.std(scene.levels)) if len(scene.levels) > 1 else 0.0
    # Silverman's width of a Gaussian kernel over the brightness of the image's own objects.
    width = 1.06 * spread * len(scene.levels) ** -0.2
    own = levels[np.array(kept) - 1] + width * random.standard_normal(len(kept)).astype(np.float32)
    lowest = scene.background + 0.25 * (float(scene.levels.min()) - scene.background)
    return Scene(labels, np.clip(own, max(lowest, 0.0), 1.0).astype(np.float32), scene.background)
