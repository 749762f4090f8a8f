"""What is scored: the attacked image as a file would hold it."""

from __future__ import annotations

import torch

from anyscope.attacks.attack import Norm
from anyscope.errors import BadInput

_SLACK = 1e-4
"""Part of a level by which single precision may miss a level that is meant."""


def round_to_bits(
    images: torch.Tensor, originals: torch.Tensor, epsilon: float, norm: Norm = "linf", bits: int = 8
) -> torch.Tensor:
    """Attacked images at the nearest of 2^bits grey levels.

    For ``linf`` that is the nearest level within the ball, where there is one: a radius of whole levels around an image
    at whole levels is then kept exactly. Where there is none (a radius of less than half a level, or an original
    between levels) the ball is left, by at most half a level. For ``l2`` each pixel goes to its nearest level, so it
    moves by at most half a level too; the length of the whole change may grow by more than that, and a change far below
    half a level everywhere is lost, as it would be in a file.

    Args:
        images: [B, C, H, W] in 0..1, attacked.
        originals: [B, C, H, W] in 0..1, what was attacked. A score without attack is to be taken of
            ``round_to_bits(originals, originals, 0)``.
        epsilon: Radius of the ball.
        norm: Its norm.
        bits: 1 to 16.

    Raises:
        BadInput: Another number of bits.
    """
    if not 1 <= bits <= 16:
        raise BadInput("bits", f"{bits}", "1 to 16")
    levels = 2**bits - 1
    nearest = (images * levels).round()
    if norm == "linf":
        lowest = ((originals - epsilon) * levels - _SLACK).ceil()
        highest = ((originals + epsilon) * levels + _SLACK).floor()
        nearest = torch.where(lowest <= highest, nearest.clamp(lowest, highest), nearest)
    rounded: torch.Tensor = nearest.clamp(0, levels) / levels
    return rounded
