"""How far an input pixel reaches, found by poisoning: a NaN that goes in marks every output that depends on it."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import nn

_LONGEST = 8192
"""Length of the longest strip that is tried, in pixels. A reach beyond it counts as global."""


def receptive_field(net: nn.Module, in_channels: int, stride: int) -> int | None:
    """Receptive field of ``net`` in pixels, or None where it spans the whole input.

    A strip of pixels, one stride wide, is enough, since the kernels of all networks here are as wide as high. One NaN
    is put in at each offset within a stride, because the reach depends on the offset. A NaN passes through additions,
    products (with a zero too), maxima and activations, so what it does not reach cannot depend on that pixel.

    Args:
        net: Network that maps [B, C, H, W] to [B, K, H, W], heights and widths multiples of the stride.
        in_channels: C.
        stride: Its down-sampling factor.
    """
    # In double precision on the CPU no convolution is done by Winograd's or Fourier's method, which would spread a NaN
    # over more than the kernel.
    probe = deepcopy(net).to("cpu", torch.float64).eval()
    length = max(16 * stride, 256)
    while length <= _LONGEST:
        rough = _reach(probe, in_channels, stride, length, 0)
        if rough is not None and 2 * (rough + stride) < length:
            reaches = [_reach(probe, in_channels, stride, length, offset) for offset in range(stride)]
            return 2 * max(reach for reach in reaches if reach is not None) + 1
        length *= 2
    return None


@torch.no_grad()
def _reach(net: nn.Module, in_channels: int, stride: int, length: int, offset: int) -> int | None:
    """The farthest output that the pixel ``offset`` after the middle of a strip marks; None where it marks an end."""
    middle = length // 2 // stride * stride + offset
    strip = torch.zeros(1, in_channels, length, stride, dtype=torch.float64)
    strip[..., middle, :] = torch.nan
    marked = net(strip).isnan().any(dim=1).any(dim=-1)[0].nonzero().flatten()
    first, last = int(marked.min()), int(marked.max())
    if first == 0 or last == length - 1:
        return None
    return max(middle - first, last - middle)
