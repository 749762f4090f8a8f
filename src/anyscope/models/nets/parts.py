"""The parts of a network that methods of training take hold of: its encoder, and the steps of its forward pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

Features = Sequence[torch.Tensor]


@dataclass(frozen=True)
class EncoderNames:
    """Which tensors are the encoder's, as prefixes of their names in the network.

    Args:
        levels: The encoder, without the bottleneck where that is a part of its own.
        bottleneck: The coarsest level, where it can be told from the others; empty where it is one with the encoder.
    """

    levels: tuple[str, ...]
    bottleneck: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stages:
    """The forward pass in three: ``head(expand(encode(x)))`` are the logits.

    Args:
        encode: Features of images [B, C, H, W]; the last are those of the bottleneck [B, ``channels``, h, w].
        expand: The decoder's last features [B, ``width``, h', w'] of what ``encode`` returned.
        head: Logits [B, K, H, W] of what ``expand`` returned.
        channels: Channels of the bottleneck.
        width: Channels of the decoder's last features.
    """

    encode: Callable[[torch.Tensor], Features]
    expand: Callable[[Features], torch.Tensor]
    head: Callable[[torch.Tensor], torch.Tensor]
    channels: int
    width: int
