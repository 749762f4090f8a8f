"""Networks that tell from which domain something comes: label maps, or features.

Source: DAMT-Net, Peng, Yi, Yuan, IEEE JSTSP 14(6):1199-1209, 2020, in the layout of its authors' code.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

_GROUPS = 32


class LabelDiscriminator(nn.Sequential):
    """Says for parts of a segmentation whether it looks like one of the source: logits, positive for the source.

    Five 4 x 4 convolutions of stride 2 and 64, 128, 256, 512, 1 channels, leaky ReLU (.2) between them. Their input is
    a prediction after its activation, so what is judged is shape. Group normalisation has 32 groups and no weights of
    its own, as published.

    Args:
        channels: Channels of the activated maps.
        width: Channels of the first convolution, 64 as published; a multiple of 32.
    """

    def __init__(self, channels: int, width: int = 64) -> None:
        layers: list[nn.Module] = []
        for wide in (width, 2 * width, 4 * width, 8 * width):
            layers += [
                nn.Conv2d(channels, wide, 4, 2, 1),
                nn.GroupNorm(_GROUPS, wide, affine=False),
                nn.LeakyReLU(0.2, inplace=True),
            ]
            channels = wide
        super().__init__(*layers, nn.Conv2d(channels, 1, 4, 2, 1))


LABEL_DISCRIMINATOR_SMALLEST_PX = 32
"""Five halvings leave nothing of smaller maps."""


class FeatureDiscriminator(nn.Module):
    """Says of the last features of the decoder as a whole whether they are of the source: one logit, positive for it.

    Three 3 x 3 convolutions of 48 channels, each with group normalisation (4 groups, no weights), ReLU and 2 x 2
    maximum; then fully connected layers of 288 and 144 with the same normalisation. The published one has two outputs
    and a cross-entropy over them; the logit here is their difference, which is the same function with one row of
    weights less. Its normalisation has a stabiliser of 0, here 1e-5, since constant features would give no number.

    Args:
        channels: Channels of the features.
        cells: Rows and columns that the maps are averaged to before the fully connected layers. The published network
            takes all of them, 64 for patches of 512 pixels, and has 56 million weights there.
    """

    def __init__(self, channels: int, cells: int) -> None:
        super().__init__()
        convolutions: list[nn.Module] = []
        for _ in range(3):
            convolutions += [
                nn.Conv2d(channels, 48, 3, padding=1),
                nn.GroupNorm(4, 48, affine=False),
                nn.ReLU(inplace=True),
                nn.MaxPool2d(2, ceil_mode=True),
            ]
            channels = 48
        self.convolutions = nn.Sequential(*convolutions)
        self.cells = nn.AdaptiveAvgPool2d(cells)
        self.connected = nn.Sequential(
            *(nn.Linear(48 * cells**2, 288), nn.GroupNorm(4, 288, affine=False), nn.ReLU(inplace=True)),
            *(nn.Linear(288, 144), nn.GroupNorm(4, 144, affine=False), nn.ReLU(inplace=True)),
            nn.Linear(144, 1),
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Logits [B] of features [B, channels, H, W]."""
        x = self.cells(self.convolutions(features)).flatten(1)
        return cast(torch.Tensor, self.connected(x)).squeeze(1)
