"""The decoder of a 2D UNETR: transposed convolutions bring features of a transformer to pixels, with skips.

Source: Hatamizadeh et al., UNETR, WACV 2022, arXiv 2103.10504, in two dimensions. Widths as in EM-SAM (Optics and
Precision Engineering 32(18), 2024, doi 10.37188/OPE.20243218.2836): 512, 256, 128 and 64 channels at strides 8, 4, 2
and 1, a stem of 32 and 64 channels for the image itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from anyscope.models.nets.normalisation import BatchNorm

_WIDTHS = {1: 64, 2: 128, 4: 256, 8: 512}
"""Published channels at each stride; coarser ones have as many as at stride 8."""
_STEP = 8
"""Scaled widths are multiples of it."""


def width_at(stride: int, scale: float) -> int:
    """Channels of the decoder at a stride, for widths ``scale`` times the published ones.

    >>> [width_at(stride, 1.0) for stride in (16, 8, 4, 2, 1)]
    [512, 512, 256, 128, 64]
    """
    return max(1, round(_WIDTHS[min(stride, 8)] * scale / _STEP)) * _STEP


class Convolution(nn.Sequential):
    """A 3 x 3 convolution with batch normalisation and ReLU."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(
            nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False), BatchNorm(channels_out), nn.ReLU()
        )


class Raising(nn.Sequential):
    """A transposed 2 x 2 convolution with batch normalisation and ReLU: twice as high and wide."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(
            nn.ConvTranspose2d(channels_in, channels_out, 2, 2, bias=False), BatchNorm(channels_out), nn.ReLU()
        )


class UNETRDecoder(nn.Module):
    """From features of an encoder to features of pixels.

    The coarsest features are raised by factors of two. At every stride on the way the next finer features of the
    encoder, raised to that stride where they are coarser, are concatenated; at stride 1 the stem's features of the
    image. Levels that nothing is left for go without.

    Args:
        in_channels: Channels of the image.
        channels: Channels of the encoder's features, in the encoder's order.
        strides: Their strides: powers of two, none smaller than the one before.
        scale: Widths as a multiple of the published ones.
        stem: Concatenate features of the image itself at stride 1.
    """

    def __init__(
        self, in_channels: int, channels: Sequence[int], strides: Sequence[int], scale: float, stem: bool
    ) -> None:
        super().__init__()
        self.width = width_at(1, scale)
        half = max(1, self.width // 2)
        self.stem = nn.Sequential(Convolution(in_channels, half), Convolution(half, self.width)) if stem else None
        self.ways, self.up, self.merge = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        skips = list(zip(channels, strides, strict=True))
        below, stride = skips.pop()
        while stride > 1:
            stride //= 2
            width = width_at(stride, scale)
            beside = 0
            if stride == 1:
                beside = self.width if stem else 0
            elif skips:
                way, beside = _way(*skips.pop(), stride, scale)
                self.ways.append(way)
            self.up.append(Raising(below, width))
            self.merge.append(nn.Sequential(Convolution(width + beside, width), Convolution(width, width)))
            below = width

    @property
    def skips(self) -> int:
        """How many of the encoder's features are used beside the coarsest."""
        return len(self.ways)

    def forward(self, features: Sequence[torch.Tensor]) -> torch.Tensor:
        """Features [B, ``width``, H, W] of the image [B, C, H, W] followed by the encoder's features."""
        image, *skips, x = features
        ways = iter(self.ways)
        last = len(self.up) - 1
        for level, (up, merge) in enumerate(zip(self.up, self.merge, strict=True)):
            x = up(x)
            if level == last:
                beside = None if self.stem is None else self.stem(image)
            else:
                way = next(ways, None)
                beside = None if way is None else way(skips.pop())
            x = merge(x if beside is None else torch.cat([x, beside], dim=1))
        return x


def _way(channels: int, stride: int, wanted: int, scale: float) -> tuple[nn.Module, int]:
    """The module that brings features of a stride to a finer one, and their channels then."""
    steps: list[nn.Module] = []
    while stride > wanted:
        stride //= 2
        steps.append(Raising(channels, width_at(stride, scale)))
        channels = width_at(stride, scale)
    return nn.Sequential(*steps), channels
