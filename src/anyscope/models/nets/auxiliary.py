"""Auxiliary outputs: logits of inner stages, that guide the training and are not used afterwards."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import nn

from anyscope.models.nets.normalisation import BatchNorm


class GuidedNet(nn.Module, ABC):
    """A network whose inner stages are trained by losses of their own.

    Attributes:
        auxiliary_weights: Weight of the loss of each auxiliary output; that of the logits is 1.
    """

    auxiliary_weights: tuple[float, ...]

    @abstractmethod
    def forward_training(self, x: torch.Tensor) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """Logits [B, K, H, W] of ``x`` [B, C, H, W], and the auxiliary logits [B, K, h, w], each of its own size."""

    @abstractmethod
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The logits alone, at no cost for the auxiliary outputs."""


class FCNHead(nn.Sequential):
    """Logits of features: a 3 x 3 convolution with normalisation, ReLU and dropout, then a 1 x 1 convolution.

    Args:
        channels_in: Channels of the features.
        channels_out: Channels of the logits.
        width: Channels between the two; a quarter of ``channels_in`` where it is not given.

    Source: the auxiliary classifier of Zhao et al., arXiv 1612.01105, section 3.3, with dropout 0.1.
    """

    def __init__(self, channels_in: int, channels_out: int, width: int | None = None) -> None:
        width = max(1, channels_in // 4) if width is None else width
        super().__init__(
            nn.Conv2d(channels_in, width, 3, padding=1, bias=False),
            BatchNorm(width),
            nn.ReLU(),
            nn.Dropout2d(0.1),
            nn.Conv2d(width, channels_out, 1),
        )
