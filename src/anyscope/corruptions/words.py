"""Cheap random integers."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from anyscope.corruptions.randomness import draw_per_image

WORD = 2**15
"""Words are from 0 to this, exclusive."""


def random_words(shape: Sequence[int], seeds: Sequence[int], stream: str, device: torch.device) -> torch.Tensor:
    """Evenly distributed 15-bit integers, int16 [B, *shape], four of each number that the generator draws; for what
    does not need more bits this takes a fraction of the time of real numbers."""
    size = 1
    for length in shape:
        size *= length

    def draw(random: torch.Generator) -> torch.Tensor:
        drawn = torch.empty(-(-size // 4), dtype=torch.int64, device=device).random_(generator=random)
        return drawn.view(torch.int16)[:size].bitwise_and_(WORD - 1).reshape(tuple(shape))

    return draw_per_image(seeds, stream, device, draw)
