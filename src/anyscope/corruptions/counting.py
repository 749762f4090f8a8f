"""Counts of photons and electrons: Poisson numbers several times faster than one by one."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import torch
from scipy.stats import poisson

from anyscope.corruptions.randomness import draw_per_image

_LEVELS = 1024
_STEP = 1 / 16
_TALLEST = _LEVELS * _STEP
"""Rates below this are drawn from tables."""
_COLUMNS = 128
_COLUMN_BITS = 7
_THRESHOLD_BITS = 23
_WORD_BITS = _COLUMN_BITS + _THRESHOLD_BITS


def poisson_like(rates: torch.Tensor, seeds: Sequence[int], stream: str) -> torch.Tensor:
    """Poisson numbers of the ``rates`` [B, ...], for every image from the generator of its seed."""
    rows = iter(rates)
    return draw_per_image(seeds, stream, rates.device, lambda random: poisson_numbers(next(rows), random))


def poisson_numbers(rates: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """Independent Poisson numbers of the ``rates``, which are not negative; of their shape and type.

    Counts add up, so a rate is split: the largest multiple of 1/16 below it is drawn from a table, what is left over
    is that of a Poisson process along the pixels, whose few events are thrown onto them. Rates of 64 and more are left
    to torch, and so is everything where most are.
    """
    flat = rates.flatten()
    tall = flat >= _TALLEST
    many = int(tall.sum())
    if 2 * many > flat.numel():
        return torch.poisson(rates, generator=random)
    level = (flat / _STEP).to(torch.int32)
    rest = flat - level * _STEP
    if many:
        level.clamp_(max=_LEVELS - 1)
        rest.masked_fill_(tall, 0)
    counts = _from_table(level, random).to(rates.dtype)
    hit = _events(rest, random)
    counts.index_add_(0, hit, counts.new_ones(1).expand(hit.shape))
    if many:
        counts[tall] = torch.poisson(flat[tall], generator=random)
    return counts.reshape(rates.shape)


def _events(rates: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """Where the events of a Poisson process fall whose expected numbers in the pixels are the small ``rates`` [N]."""
    passed = rates.cumsum(0, dtype=torch.float64)
    expected = float(passed[-1])
    enough = int(expected + 10 * expected**0.5) + 50
    gaps = passed.new_empty(enough).exponential_(generator=random)
    pixel = torch.searchsorted(passed, gaps.cumsum(0))
    return pixel[pixel < len(rates)]


def _from_table(level: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """Walker's alias method: a random column of a row keeps its own count below its threshold and otherwise gives its
    alias."""
    size = level.numel()
    pairs = torch.empty(-(-size // 2), dtype=torch.int64, device=level.device).random_(generator=random)
    word = pairs.view(torch.int32)[:size].bitwise_and_(2**_WORD_BITS - 1)
    column = word & (_COLUMNS - 1)
    entry = torch.index_select(_alias_table(level.device), 0, level * _COLUMNS + column)
    return torch.where(word >> _COLUMN_BITS < entry >> _COLUMN_BITS, column, entry & (_COLUMNS - 1))


@functools.lru_cache(maxsize=4)
def _alias_table(device: torch.device) -> torch.Tensor:
    """Thresholds (of 2 ** _THRESHOLD_BITS) and aliases (the lowest bits), int32 [_LEVELS * _COLUMNS].

    Source: Walker, ACM Transactions on Mathematical Software 3, 1977. In every step, and for all levels at once, the
    poorest column is filled up from the richest.
    """
    share = poisson.pmf(np.arange(_COLUMNS), _STEP * np.arange(_LEVELS)[:, None])
    share *= _COLUMNS / share.sum(axis=1, keepdims=True)
    threshold, alias = np.ones_like(share), np.tile(np.arange(_COLUMNS), (_LEVELS, 1))
    rows, waiting = np.arange(_LEVELS), share.copy()
    for _ in range(_COLUMNS - 1):
        poor, rich = waiting.argmin(axis=1), share.argmax(axis=1)
        need = share[rows, poor]
        short = (need < 1) & (poor != rich)
        threshold[rows[short], poor[short]] = need[short]
        alias[rows[short], poor[short]] = rich[short]
        share[rows[short], rich[short]] -= 1 - need[short]
        share[rows[short], poor[short]] = 1
        waiting[rows, rich] = share[rows, rich]
        waiting[rows[short], poor[short]] = np.inf
    whole = np.rint(threshold.clip(0, 1) * 2**_THRESHOLD_BITS).astype(np.int64)
    packed = (whole << _COLUMN_BITS) | alias
    return torch.from_numpy(packed.reshape(-1).astype(np.int32)).to(device)
