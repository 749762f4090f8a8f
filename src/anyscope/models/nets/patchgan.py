"""Networks that tell images of one kind from those of another, patch by patch.

Sources: Isola et al., CVPR 2017, arXiv 1611.07004 (PatchGAN of 70 x 70 pixels); Park et al., ECCV 2020, arXiv
2007.15651 (anti-aliased).
"""

from __future__ import annotations

from typing import Annotated, cast

import torch
from pydantic import Field
from torch import nn

from anyscope.models.entry import Arguments
from anyscope.models.nets.antialias import BlurDown
from anyscope.models.nets.generators import Initialisation, initialise

_WIDEST = 8


class DiscriminatorArguments(Arguments):
    """Arguments of the PatchGAN.

    Args:
        filters: Channels of the first convolution, doubled after every halving up to eight times; 64 as published.
        halvings: How often the size is halved; 3 as published.
        antialias: Blur before taking every second pixel, as CUT does; otherwise strided convolutions, as published
            first.
        initialisation: See :class:`~anyscope.models.nets.generators.GeneratorArguments`.
    """

    filters: Annotated[int, Field(ge=1, le=1024)] = 64
    halvings: Annotated[int, Field(ge=1, le=6)] = 3
    antialias: bool = True
    initialisation: Initialisation = "xavier"


class PatchDiscriminator(nn.Module):
    """Numbers [B, 1, h, w] of overlapping patches of images [B, C, H, W] in -1..1, large where one looks real.

    4 x 4 convolutions with leaky ReLU (.2), instance normalisation after all but the first and the last. With three
    halvings a number depends on 70 x 70 pixels, on 84 x 84 if anti-aliased, and on the statistics of the normalisation.
    No sigmoid at the end: least squares are taken of the numbers themselves.

    Args:
        in_channels: C.
        arguments: See :class:`DiscriminatorArguments`.
    """

    def __init__(self, in_channels: int, arguments: DiscriminatorArguments) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = in_channels
        for halving in range(arguments.halvings):
            width = arguments.filters * min(2**halving, _WIDEST)
            layers.append(nn.Conv2d(before, width, 4, stride=1 if arguments.antialias else 2, padding=1))
            if halving:
                layers.append(nn.InstanceNorm2d(width))
            layers.append(nn.LeakyReLU(0.2, inplace=True))
            if arguments.antialias:
                layers.append(BlurDown(width))
            before = width
        width = arguments.filters * min(2**arguments.halvings, _WIDEST)
        layers += [nn.Conv2d(before, width, 4, padding=1), nn.InstanceNorm2d(width), nn.LeakyReLU(0.2, inplace=True)]
        layers.append(nn.Conv2d(width, 1, 4, padding=1))
        self.layers = nn.Sequential(*layers)
        initialise(self, arguments.initialisation)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The numbers of ``x``."""
        return cast(torch.Tensor, self.layers(x))
