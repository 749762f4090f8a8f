"""ResNet-18 with its last two stages dilated, at any width; named as in torchvision, so that its weights fit.

Source: He et al., arXiv 1512.03385; dilation in place of strides as in Yu, Koltun, Funkhouser, arXiv 1705.09914.
"""

from __future__ import annotations

import torch
from torch import nn

from anyscope.models.nets.normalisation import BatchNorm
from anyscope.models.nets.vgg import scaled

CHANNELS = (64, 128, 256, 512)


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions around a shortcut.

    Args:
        channels_in, channels_out: Channels.
        stride: Of the first convolution.
        dilations: Of either convolution.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int, dilations: tuple[int, int]) -> None:
        super().__init__()
        first, second = dilations
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, padding=first, dilation=first, bias=False)
        self.bn1 = BatchNorm(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=second, dilation=second, bias=False)
        self.bn2 = BatchNorm(channels_out)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False), BatchNorm(channels_out)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features [B, C, h, w] of ``x``."""
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + self.downsample(x))


class DilatedResNet18(nn.Module):
    """ResNet-18 without its classifier; stages at 1/4, 1/8, 1/8 and 1/8.

    Args:
        in_channels: Channels of the image.
        width: Factor on all channels.
    """

    def __init__(self, in_channels: int, width: float) -> None:
        super().__init__()
        stem, *_ = self.channels = tuple(scaled(channels, width) for channels in CHANNELS)
        self.conv1 = nn.Conv2d(in_channels, stem, 7, 2, padding=3, bias=False)
        self.bn1 = BatchNorm(stem)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        before = (stem, *self.channels)
        strides, dilations = (1, 2, 1, 1), ((1, 1), (1, 1), (1, 2), (2, 4))
        for number in range(4):
            first, rest = dilations[number]
            stage = nn.Sequential(
                BasicBlock(before[number], self.channels[number], strides[number], (first, rest)),
                BasicBlock(self.channels[number], self.channels[number], 1, (rest, rest)),
            )
            self.add_module(f"layer{number + 1}", stage)

    def forward(self, x: torch.Tensor, stages: int = 4) -> torch.Tensor:
        """Features after the first ``stages`` stages."""
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        for number in range(stages):
            x = self.get_submodule(f"layer{number + 1}")(x)
        return x
