"""SegNet: VGG16 there and back, each maximum returned to the pixel that it came from.

Source: Badrinarayanan, Kendall, Cipolla, arXiv 1511.00561.
"""

from __future__ import annotations

from typing import Annotated, cast

import torch
from pydantic import Field
from torch import nn

from anyscope.models.entry import Arguments, ModelEntry, Pretrained
from anyscope.models.nets import vgg
from anyscope.models.nets.parts import EncoderNames, Features, Stages

STRIDE = 32


class SegNetArguments(Arguments):
    """Arguments of SegNet.

    Args:
        width: Factor on the channels of all convolutions; 1 as published.
    """

    width: Annotated[float, Field(gt=0, le=4)] = 1.0


class SegNet(nn.Module):
    """SegNet: the 13 convolutions of VGG16, mirrored in the decoder, batch normalisation after each but the last.

    Args:
        in_channels, out_channels: Channels of the image and of the logits.
        arguments: See :class:`SegNetArguments`.
    """

    def __init__(self, in_channels: int, out_channels: int, arguments: SegNetArguments) -> None:
        super().__init__()
        self.down = vgg.encoder(in_channels, arguments.width, "batch")
        self.pool = nn.MaxPool2d(2, return_indices=True)
        stages = [tuple(vgg.scaled(channels, arguments.width) for channels in stage) for stage in vgg.STAGES]
        up = []
        for stage, below in zip(stages[:0:-1], stages[-2::-1], strict=True):
            up.append(vgg.convolutions(stage[-1], (*stage[:-1], below[-1]), "batch"))
        finest = stages[0]
        self.up = nn.ModuleList([*up, vgg.convolutions(finest[-1], finest[:-1], "batch")])
        self.head = nn.Conv2d(finest[0], out_channels, 3, padding=1)
        self.apply(vgg.initialise)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits [B, K, H, W] of ``x`` [B, C, H, W], H and W multiples of 32."""
        return cast(torch.Tensor, self.head(self.expand(self.encode(x))))

    def encode(self, x: torch.Tensor) -> list[torch.Tensor]:
        """The places of the maxima of every level, the finest first, and the features of the coarsest."""
        places = []
        for stage in self.down:
            x, indices = self.pool(stage(x))
            places.append(indices)
        return [*places, x]

    def expand(self, features: Features) -> torch.Tensor:
        """The decoder's finest features [B, C, H, W], of which the head makes logits."""
        *places, x = features
        for stage in self.up:
            x = stage(unpool(x, places.pop()))
        return x


def unpool(x: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
    """Values [B, C, h, w] at the pixels of [B, C, 2 h, 2 w] that ``indices`` of a 2 x 2 maximum name, 0 elsewhere.

    The values are those of ``max_unpool2d``, but by products, which do not depend on the order of threads on a GPU. A
    NaN marks its whole 2 x 2 pixels, so that the measured receptive field holds wherever the maximum lies.
    """
    width = 2 * x.shape[-1]
    corner = (indices // width % 2 * 2 + indices % 2).to(torch.uint8)  # of its four pixels; small, for it is repeated
    own = torch.tensor([[0, 1], [2, 3]], dtype=torch.uint8, device=x.device).repeat(x.shape[-2:])
    return _repeat(x) * (_repeat(corner) == own)


def _repeat(x: torch.Tensor) -> torch.Tensor:
    return x.repeat_interleave(2, dim=-2).repeat_interleave(2, dim=-1)


def _pretrained(in_channels: int, out_channels: int, arguments: SegNetArguments) -> Pretrained:
    donor, origin = vgg.imagenet("segnet", in_channels, arguments.width, "batch")
    net = SegNet(in_channels, out_channels, arguments)
    vgg.take_over(net.down, donor)
    return Pretrained(net, vgg.MEAN, vgg.STD, origin)


def _stages(net: nn.Module) -> Stages:
    assert isinstance(net, SegNet)
    deepest = [layer for layer in net.down[-1].modules() if isinstance(layer, nn.Conv2d)][-1]
    return Stages(net.encode, net.expand, net.head, channels=deepest.out_channels, width=net.head.in_channels)


ENTRIES = (
    ModelEntry(
        name="segnet",
        summary="SegNet on VGG16, maxima return to where they came from",
        source="Badrinarayanan, Kendall, Cipolla, arXiv 1511.00561",
        licence="weights BSD-3-Clause (torchvision)",
        arguments=SegNetArguments,
        construct=SegNet,
        stride=lambda _: STRIDE,
        pretrained=_pretrained,
        encoder=lambda _: EncoderNames(("down.",)),
        stages=_stages,
        notes="width=0.25 suits a CPU",
    ),
)
