"""How far an input pixel reaches, found by poisoning: a NaN that goes in marks every output that depends on it."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import cache

import torch
from torch import nn

_LONGEST = 4096
"""Length of the longest strip that is tried, in pixels. A reach beyond it counts as global."""


def receptive_field(net: nn.Module, in_channels: int, stride: int, smallest: int = 1) -> int | None:
    """Receptive field of ``net`` in pixels, or None where it spans the whole input.

    A narrow strip of pixels is enough, since the kernels of all networks here are as wide as high. A NaN passes through
    additions, products (with a zero too), maxima and activations, so what it does not reach cannot depend on that
    pixel. Where an implementation of convolution spreads it over more than the kernel, the result is too large, which
    is safe.

    Args:
        net: Network that maps [B, C, H, W] to [B, K, H, W], heights and widths multiples of the stride.
        in_channels: C.
        stride: Its down-sampling factor. The reach of a pixel depends on where it lies within a stride.
        smallest: The least height and width it works with.
    """
    probe = deepcopy(net).to("cpu", torch.float32).eval()
    width = -(-max(smallest, stride) // stride) * stride
    length = max(16 * stride, 256)
    first, last = _marked(probe, (in_channels, length, width), length // 2)
    while first <= stride or last >= length - 1 - stride:
        length *= 2
        if length > _LONGEST:
            return None
        first, last = _marked(probe, (in_channels, length, width), length // 2)
    reach = max(length // 2 - first, last - length // 2)
    shape = (in_channels, max(2 * (-(-reach // stride) + 2) * stride, width), width)
    middle = shape[1] // 2 // stride * stride
    return 2 * _farthest(cache(lambda offset: _marked(probe, shape, middle + offset)), middle, stride) + 1


def _farthest(marked: Callable[[int], tuple[int, int]], middle: int, stride: int) -> int:
    """The largest distance between a pixel at any offset within a stride after ``middle`` and an output that it marks.

    The first and the last output that a pixel marks never move back when the pixel moves on, so an interval of offsets
    need not be halved further where even its best case adds nothing.
    """
    best = 0
    intervals = [(0, stride - 1)]
    while intervals:
        low, high = intervals.pop()
        for offset in (low, high):
            first, last = marked(offset)
            best = max(best, middle + offset - first, last - middle - offset)
        at_most = max(middle + high - 1 - marked(low)[0], marked(high)[1] - middle - low - 1)
        if high - low > 1 and at_most > best:
            half = (low + high) // 2
            intervals += [(low, half), (half, high)]
    return best


@torch.no_grad()
def _marked(net: nn.Module, shape: tuple[int, int, int], poisoned: int) -> tuple[int, int]:
    """The first and the last row of the output that row ``poisoned`` of an input (C, H, W) marks."""
    strip = torch.zeros(1, *shape)
    strip[..., poisoned, :] = torch.nan
    rows = net(strip).isnan().any(dim=1).any(dim=-1)[0].nonzero().flatten()
    return int(rows.min()), int(rows.max())
