"""A decoder without skips, that draws the image again from the bottleneck alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

import torch
from torch import nn

from anyscope.models.nets.normalisation import Norm
from anyscope.models.nets.unet import DoubleConvolution, initialise_convolution

Up = Literal["transposed", "bilinear"]


class ReconstructionDecoder(nn.Module):
    """From the bottleneck back to an image, each level twice as fine as the one before; linear output.

    Since nothing but the bottleneck is given, what it holds of an image must describe the image: this is what makes the
    encoder learn from images without labels.

    Args:
        channels: Channels of the bottleneck.
        filters: Channels of every level, the coarsest first; as many doublings as numbers.
        out_channels: Channels of the image.
        norm, activation: Of the two 3 x 3 convolutions of a level; see
            :class:`~anyscope.models.nets.unet.UNetArguments`.
        rates: Dropout rates of the levels, the coarsest first.
        up: ``transposed`` for 2 x 2 transposed convolutions, which also change the number of channels (Attention
            Y-Net), or ``bilinear`` for interpolation without weights (DAMT-Net).

    Source: Roels et al., Domain adaptive segmentation in volume electron microscopy imaging, ISBI 2019, arXiv
    1810.09734 (the Y-Net); layouts of Franco-Barranco et al., CMPB 222:106949, 2022, and of Peng, Yi, Yuan, IEEE JSTSP
    14(6), 2020.
    """

    def __init__(
        self,
        channels: int,
        filters: Sequence[int],
        out_channels: int,
        norm: Norm,
        activation: str,
        rates: Sequence[float],
        up: Up = "transposed",
    ) -> None:
        super().__init__()
        levels = list(zip((channels, *filters), filters, rates, strict=False))
        transposed = up == "transposed"
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(below, width, 2, 2)
            if transposed
            else nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
            for below, width, _ in levels
        )
        self.convolutions = nn.ModuleList(
            DoubleConvolution(width if transposed else below, width, norm, activation, rate)
            for below, width, rate in levels
        )
        self.head = nn.Conv2d(levels[-1][1], out_channels, 1)
        self.apply(initialise_convolution)

    def forward(self, bottleneck: torch.Tensor) -> torch.Tensor:
        """The image [B, out_channels, 2^n h, 2^n w] of a bottleneck [B, channels, h, w], n levels."""
        x = bottleneck
        for up, convolutions in zip(self.up, self.convolutions, strict=True):
            x = convolutions(up(x))
        return cast(torch.Tensor, self.head(x))
