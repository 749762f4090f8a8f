"""Traits: what can be measured on predictions without a reference, and on source labels by the same code.

Everything is counted at the network's working pixels, where objects of source and target are the same to the network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from anyscope.contracts import Labels, Task
from anyscope.errors import BadInput
from anyscope.images.components import components
from anyscope.metrics.morphology import morphology

SPECK_PX = 10
"""2D objects of at most so many pixels have no shape and are counted apart (as in the published rule)."""
UNSURE = (0.2, 0.8)
"""Foreground probabilities between these are unsure."""


@dataclass(frozen=True)
class Traits:
    """Label-free measurements of the predictions on some images, or of reference labels.

    Areas are in working pixels. *Objects* are 2D: pieces of a slice (8-connected, of one id where there are ids) of
    more than :data:`SPECK_PX` pixels. A value that nothing could be measured for is None, as JSON
    knows no NaN.

    Args:
        planes: Number of planes.
        pixels: Number of pixels that count, over all planes.
        foreground_px: Number of them that are foreground: any class, any object.
        objects: Number of objects.
        specks: Number of smaller pieces.
        mean_area_px: Mean area of an object.
        median_area_px: Median area of an object.
        largest_share: Share of a plane that its largest object takes, mean over the planes, 0..1.
        solidity: Mean of area over convex area of 2D objects, where pieces that are connected in 3D (26 neighbours) are
            one object before each slice is measured: the published definition (Franco-Barranco et al., CMPB 222:106949,
            2022). For instances, where ids are one object. Equal to ``solidity_per_slice`` on single planes of masks.
        solidity_per_slice: The same of objects labelled within each slice.
        area_ratio: Mean of an object's area over that of its plane, objects labelled in 3D: the prior of an earlier
            variant of the published rule.
        entropy_bits: Mean entropy of the foreground probability over the pixels, 0..1; None without probabilities.
        unsure: Share of pixels with a foreground probability within :data:`UNSURE`; None without probabilities.
    """

    planes: int
    pixels: int
    foreground_px: int
    objects: int
    specks: int
    mean_area_px: float | None
    median_area_px: float | None
    largest_share: float
    solidity: float | None
    solidity_per_slice: float | None
    area_ratio: float | None
    entropy_bits: float | None = None
    unsure: float | None = None

    @property
    def foreground_fraction(self) -> float:
        """Share of the pixels that is foreground, 0..1; 0 without any pixel."""
        return self.foreground_px / self.pixels if self.pixels else 0.0

    @property
    def objects_per_megapixel(self) -> float:
        """Objects in a million pixels; 0 without any pixel."""
        return 1e6 * self.objects / self.pixels if self.pixels else 0.0

    @property
    def plane_px(self) -> float:
        """Mean number of pixels of a plane."""
        return self.pixels / self.planes if self.planes else 0.0

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain data for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], subject: str = "traits") -> Self:
        """From what :meth:`to_dict` gave.

        Raises:
            BadInput: Keys are missing or unknown.
        """
        return cls(**checked_keys(cls, data, subject))


def checked_keys(kind: type[Any], data: Mapping[str, Any], subject: str) -> dict[str, Any]:
    """The data for a dataclass, if it has exactly the fields of it.

    Raises:
        BadInput: Keys are missing or unknown.
    """
    names = [field.name for field in fields(kind)]
    wrong = sorted(set(names) ^ set(data))
    if wrong:
        raise BadInput(subject, f"missing or unknown: {', '.join(wrong)}", f"the keys {', '.join(names)}")
    return dict(data)


def measure_traits(
    labels: Sequence[Labels],
    task: Task,
    probabilities: Sequence[NDArray[np.float32]] | None = None,
    valid: Sequence[NDArray[np.bool_]] | None = None,
) -> Traits:
    """Traits of predictions, or of reference labels, over several images.

    Args:
        labels: Label images (z, y, x) at working pixels; consecutive slices of each, since objects are followed in 3D.
        task: ``semantic``: every label above 0 is foreground and objects are connected components of it;
            ``instances``: objects are ids.
        probabilities: Foreground probabilities (z, y, x) in 0..1, one array for each label image.
        valid: Pixels that count, one mask (z, y, x) for each label image; all where None. Others are background.
    """
    counting = [np.ones(each.shape, bool) for each in labels] if valid is None else list(valid)
    objects = [_objects(np.where(mask, each, 0), task) for each, mask in zip(labels, counting, strict=True)]
    pieces = [_pieces(each) for each in objects]
    joined, single = _measured(objects, counting), _measured(pieces, counting)
    area, kept = single["size"], single["size"] > SPECK_PX
    shaped = joined["size"] > SPECK_PX
    entropy_bits, unsure = _certainty(probabilities, counting)
    plane_px = _plane_px(counting)
    return Traits(
        planes=len(plane_px),
        pixels=int(plane_px.sum()),
        foreground_px=int(area.sum()),
        objects=int(kept.sum()),
        specks=int((~kept).sum()),
        mean_area_px=_mean(area[kept]),
        median_area_px=float(np.median(area[kept])) if kept.any() else None,
        largest_share=_largest_share(pieces, plane_px),
        solidity=_mean(joined["solidity"][shaped]),
        solidity_per_slice=_mean(single["solidity"][kept]),
        area_ratio=_mean((joined["size"] / joined["plane_px"])[shaped]),
        entropy_bits=entropy_bits,
        unsure=unsure,
    )


def _objects(labels: Labels, task: Task) -> NDArray[np.uint32]:
    """Ids that go through the slices."""
    if task == "semantic":
        return components(labels > 0, 3, 3)
    import fastremap

    return np.asarray(fastremap.renumber(np.ascontiguousarray(labels))[0], np.uint32)


def _pieces(objects: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """The 8-connected pieces of objects within each slice, numbered slice by slice."""
    import cc3d

    if not objects.size:
        return objects
    planes = [cc3d.connected_components(np.ascontiguousarray(plane), connectivity=8) for plane in objects]
    return np.stack(planes).astype(np.uint32)


def _measured(labels: Sequence[NDArray[np.uint32]], valid: Sequence[NDArray[np.bool_]]) -> dict[str, NDArray[Any]]:
    """Size, solidity and pixels of the plane of every 2D object in several images."""
    columns: dict[str, list[NDArray[Any]]] = {
        "size": [np.zeros(0, np.int64)],
        "solidity": [np.zeros(0)],
        "plane_px": [np.zeros(0, np.int64)],
    }
    for each, mask in zip(labels, valid, strict=True):
        found = morphology(each, per_slice=True)
        columns["size"].append(found["size"])
        columns["solidity"].append(found["solidity"])
        columns["plane_px"].append(_plane_px([mask])[found["slice"]])
    return {name: np.concatenate(parts) for name, parts in columns.items()}


def _plane_px(valid: Sequence[NDArray[np.bool_]]) -> NDArray[np.int64]:
    """Pixels that count in each plane."""
    return np.concatenate([np.zeros(0, np.int64), *(mask.sum(axis=(1, 2)) for mask in valid)]).astype(np.int64)


def _mean(values: NDArray[Any]) -> float | None:
    return float(values.mean()) if values.size else None


def _largest_share(pieces: Sequence[NDArray[np.uint32]], plane_px: NDArray[np.int64]) -> float:
    largest = [int(np.bincount(plane.ravel())[1:].max(initial=0)) for each in pieces for plane in each]
    return float(np.mean(np.array(largest) / np.maximum(plane_px, 1))) if largest else 0.0


def _certainty(
    probabilities: Sequence[NDArray[np.float32]] | None, valid: Sequence[NDArray[np.bool_]]
) -> tuple[float | None, float | None]:
    """Mean entropy in bits and the share of unsure pixels."""
    pixels = sum(int(mask.sum()) for mask in valid)
    if probabilities is None or not pixels:
        return None, None
    from scipy.special import entr

    entropy, unsure = 0.0, 0
    for probability, mask in zip(probabilities, valid, strict=True):
        p = np.clip(probability[mask].astype(np.float64), 0, 1)
        entropy += float((entr(p) + entr(1 - p)).sum()) / np.log(2)
        unsure += int(((p > UNSURE[0]) & (p < UNSURE[1])).sum())
    return float(entropy / pixels), unsure / pixels
