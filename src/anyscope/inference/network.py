"""What inference needs to know of a network; :class:`anyscope.models.Segmenter` has all of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, cast, runtime_checkable

import torch
from torch import nn

from anyscope.models import SegmenterSpec


class Network(Protocol):
    """A torch module that can be tiled: logits [B, K, H, W] of images [B, C, H, W], padding inside at the end only."""

    @property
    def spec(self) -> SegmenterSpec:
        """What it is."""

    @property
    def stride(self) -> int:
        """Its down-sampling factor."""

    def receptive_field(self) -> int | None:
        """2 r + 1, r the largest distance at which an input pixel reaches an output pixel; None where global."""

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Logits of images in 0..1."""


@runtime_checkable
class SelfMeasured(Protocol):
    """A network whose tensors cannot be followed by torch, such as one that another runtime runs."""

    def forward_bytes(self, shape: tuple[int, int, int, int]) -> int | None:
        """Memory of a forward pass over images of ``shape`` [B, C, H, W]; None where torch can tell."""


def module_of(network: Network) -> nn.Module:
    """The network as a torch module."""
    return cast(nn.Module, network)


def device_of(network: Network) -> torch.device:
    """Where the weights are; the CPU for a network without any."""
    module = module_of(network)
    for tensor in (*module.parameters(), *module.buffers()):
        return tensor.device
    return torch.device("cpu")


@contextmanager
def predicting(network: Network, device: str) -> Iterator[torch.device]:
    """Evaluation mode without gradients on a device; afterwards the network is in the mode it was in before."""
    module = module_of(network)
    if device != "auto":
        module.to(device)
    training = module.training
    module.eval()
    try:
        with torch.inference_mode():
            yield device_of(network)
    finally:
        module.train(training)
