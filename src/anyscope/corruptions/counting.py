"""Counts of photons and electrons."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import torch
from scipy.stats import poisson

from anyscope.corruptions.words import WORD, random_words
from anyscope.seeding import torch_generator

MOST_TABLED = 64.0
LEVELS = 2048
"""Brightnesses from 0 to 1 of which the distribution of counts is tabled."""
COLUMNS = 128
THRESHOLD_BITS = 22


def poisson_like(images: torch.Tensor, counts: float, seeds: Sequence[int], stream: str) -> torch.Tensor:
    """Poisson numbers of expectation ``counts * images``, for ``images`` [B, ...] in 0..1.

    Up to 64 counts they come from tables (several times faster), for which brightness is rounded to one of 2048 levels.
    """
    if counts <= MOST_TABLED:
        return _from_table(images, counts, seeds, stream)
    device = str(images.device)
    drawn = [
        torch.poisson(image * counts, generator=torch_generator(seed, "corruption", stream, device=device))
        for image, seed in zip(images, seeds, strict=True)
    ]
    return torch.stack(drawn)


def _from_table(images: torch.Tensor, counts: float, seeds: Sequence[int], stream: str) -> torch.Tensor:
    """Walker's alias method: a random column of the table keeps its own count below its threshold and otherwise gives
    its alias."""
    words = random_words((2, *images.shape[1:]), seeds, stream, images.device).to(torch.int32)
    first, second = words.unbind(1)
    column = first & (COLUMNS - 1)
    level = (images * (LEVELS - 1)).round_().clamp_(0, LEVELS - 1).to(torch.int32)
    entry = torch.take(_alias_table(counts, images.device), (level * COLUMNS + column).long())
    lot = second + (first >> 7 << 15)  # 15 bits and the 8 that the column has left over: 23
    kept = lot < entry >> 7 << (23 - THRESHOLD_BITS)
    return torch.where(kept, column, entry & (COLUMNS - 1)).to(images.dtype)


@functools.lru_cache(maxsize=32)
def _alias_table(counts: float, device: torch.device) -> torch.Tensor:
    """Thresholds (of 2 ** THRESHOLD_BITS) and aliases (the lowest 7 bits), int32 [LEVELS * COLUMNS].

    Source: Walker, ACM Transactions on Mathematical Software 3, 1977. In every step, and for all levels at once, the
    poorest column is filled up from the richest.
    """
    expected = counts * np.arange(LEVELS) / (LEVELS - 1)
    share = poisson.pmf(np.arange(COLUMNS), expected[:, None])
    share *= COLUMNS / share.sum(axis=1, keepdims=True)
    threshold, alias = np.ones_like(share), np.tile(np.arange(COLUMNS), (LEVELS, 1))
    rows, waiting = np.arange(LEVELS), share.copy()
    for _ in range(COLUMNS - 1):
        poor, rich = waiting.argmin(axis=1), share.argmax(axis=1)
        need = share[rows, poor]
        short = (need < 1) & (poor != rich)
        threshold[rows[short], poor[short]] = need[short]
        alias[rows[short], poor[short]] = rich[short]
        share[rows[short], rich[short]] -= 1 - need[short]
        share[rows[short], poor[short]] = 1
        waiting[rows, rich] = share[rows, rich]
        waiting[rows[short], poor[short]] = np.inf
    whole = np.rint(threshold.clip(0, 1) * 2**THRESHOLD_BITS).astype(np.int64)
    packed = (whole << 7) | alias
    return torch.from_numpy(packed.reshape(-1).astype(np.int32)).to(device)


assert WORD * (WORD // COLUMNS) == 2**23
