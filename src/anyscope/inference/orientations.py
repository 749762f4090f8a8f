"""The orientations of test-time augmentation: a whole slice is turned, not a tile.

Turning a tile would move the side that a network pads and the grid of its stride; a turned slice has a tiling of its
own, and tiled prediction stays equal to untiled prediction.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from anyscope.inference.settings import Augmentation


@dataclass(frozen=True)
class Orientation:
    """One element of the symmetry group of the square: flips, then an exchange of y and x."""

    flip_y: bool = False
    flip_x: bool = False
    exchange: bool = False

    def apply(self, images: torch.Tensor) -> torch.Tensor:
        """Turn [..., H, W]."""
        turned = images.flip(self._axes()) if self._axes() else images
        return turned.transpose(-1, -2) if self.exchange else turned

    def undo(self, images: torch.Tensor) -> torch.Tensor:
        """Turn back what :meth:`apply` has turned."""
        turned = images.transpose(-1, -2) if self.exchange else images
        return turned.flip(self._axes()) if self._axes() else turned

    def _axes(self) -> list[int]:
        return [axis for axis, flipped in ((-2, self.flip_y), (-1, self.flip_x)) if flipped]


_FLIPS = tuple(Orientation(flip_y, flip_x) for flip_y in (False, True) for flip_x in (False, True))
ORIENTATIONS: dict[Augmentation, tuple[Orientation, ...]] = {
    "none": (Orientation(),),
    "flips": _FLIPS,
    "d4": _FLIPS + tuple(Orientation(each.flip_y, each.flip_x, exchange=True) for each in _FLIPS),
}
"""Orientations by the name of the augmentation."""
