"""ICNet: a cascade over the image at full, half and quarter size.

Source: Zhao et al., ECCV 2018, arXiv 1704.08545; with ResNet-18 as in Zhong, Li, Yang, BMC Bioinformatics 25:269, 2024.
"""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from anyscope.errors import BadInput
from anyscope.models.entry import Arguments, ModelEntry, Pretrained
from anyscope.models.hub import reaching_the_hub
from anyscope.models.nets import vgg
from anyscope.models.nets.auxiliary import GuidedNet
from anyscope.models.nets.normalisation import BatchNorm
from anyscope.models.nets.resnet import DilatedResNet18

STRIDE = 32
POOLED = (1, 2, 3, 6)
"""Sides of the grids that the coarsest features are averaged over."""


class ICNetArguments(Arguments):
    """Arguments of ICNet.

    Args:
        width: Factor on all channels; 1 as published.
    """

    width: Annotated[float, Field(gt=0, le=4)] = 1.0


class Normalised(nn.Sequential):
    """A convolution and its batch normalisation."""

    def __init__(self, channels_in: int, channels_out: int, side: int, stride: int = 1, dilation: int = 1) -> None:
        padding = side // 2 * dilation
        super().__init__(
            nn.Conv2d(channels_in, channels_out, side, stride, padding, dilation, bias=False), BatchNorm(channels_out)
        )


class CascadeFusion(nn.Module):
    """Coarse features join fine ones: the coarse are resized and dilated, the fine projected, and both are added.

    Args:
        coarse, fine: Channels of the features.
        width: Channels of the result.
        out_channels: Channels of the auxiliary logits, taken from the resized coarse features.

    Source: section 3.3 and figure 3 of the paper.
    """

    def __init__(self, coarse: int, fine: int, width: int, out_channels: int) -> None:
        super().__init__()
        self.of_coarse = Normalised(coarse, width, 3, dilation=2)
        self.of_fine = Normalised(fine, width, 1)
        self.guide = nn.Conv2d(coarse, out_channels, 1)

    def forward(self, coarse: torch.Tensor, fine: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The fused features, and the resized coarse ones, that :attr:`guide` makes logits of."""
        coarse = _resize(coarse, fine.shape[-2:])
        return torch.relu(self.of_coarse(coarse) + self.of_fine(fine)), coarse


class ICNet(GuidedNet):
    """ICNet: three plain convolutions see the image, a shared ResNet-18 its half (two stages) and quarter (whole).

    Features at 1/8, 1/16 and 1/32 are fused from coarse to fine; the result is up-sampled twice, scored, and up-sampled
    4 times. The auxiliary outputs lie at 1/8 and 1/16, with the published weights 0.4 and 0.16.

    Args:
        in_channels, out_channels: Channels of the image and of the logits.
        arguments: See :class:`ICNetArguments`.
    """

    auxiliary_weights = (0.4, 0.16)

    def __init__(self, in_channels: int, out_channels: int, arguments: ICNetArguments) -> None:
        super().__init__()
        w32, w64, w128 = (vgg.scaled(channels, arguments.width) for channels in (32, 64, 128))
        self.fine = nn.Sequential(
            *(Normalised(in_channels, w32, 3, stride=2), nn.ReLU()),
            *(Normalised(w32, w32, 3, stride=2), nn.ReLU()),
            *(Normalised(w32, w64, 3, stride=2), nn.ReLU()),
        )
        self.backbone = DilatedResNet18(in_channels, arguments.width)
        deepest, middle = self.backbone.channels[3], self.backbone.channels[1]
        self.reduce = nn.Sequential(Normalised(deepest, w128, 1), nn.ReLU())
        self.fuse_coarse = CascadeFusion(w128, middle, w128, out_channels)
        self.fuse_fine = CascadeFusion(w128, w64, w128, out_channels)
        self.head = nn.Conv2d(w128, out_channels, 1)
        self.apply(vgg.initialise)

    def branches(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Features at 1/8, 1/16 and 1/32 of the image."""
        half = _scale(x, 0.5)
        coarse = self.backbone(_scale(half, 0.5))  # in two steps, since one would leave out every other pixel
        size = coarse.shape[-2:]
        # the published pyramid of this cascade adds its levels instead of concatenating them
        levels = [_resize(F.adaptive_avg_pool2d(coarse, side), size) for side in POOLED]
        return self.fine(x), self.backbone(half, stages=2), self.reduce(torch.stack([coarse, *levels]).sum(dim=0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits [B, K, H, W] of ``x`` [B, C, H, W], H and W multiples of 32."""
        return self._fuse(x)[0]

    def forward_training(self, x: torch.Tensor) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """The logits, and those at 1/8 and 1/16."""
        logits, eighth, sixteenth = self._fuse(x)
        return logits, (self.fuse_fine.guide(eighth), self.fuse_coarse.guide(sixteenth))

    def _fuse(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The logits, and the features at 1/8 and at 1/16 for the auxiliary ones."""
        fine, middle, coarse = self.branches(x)
        fused, sixteenth = self.fuse_coarse(coarse, middle)
        fused, eighth = self.fuse_fine(fused, fine)
        return _scale(self.head(_scale(fused, 2)), 4), eighth, sixteenth


def _resize(x: torch.Tensor, size: torch.Size) -> torch.Tensor:
    return F.interpolate(x, size, mode="bilinear", align_corners=False)


def _scale(x: torch.Tensor, factor: float) -> torch.Tensor:
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


def _pretrained(in_channels: int, out_channels: int, arguments: ICNetArguments) -> Pretrained:
    import timm

    if arguments.width != 1:
        found = f"has no ImageNet weights for width {arguments.width}"
        raise BadInput("model 'icnet'", found, "width 1 or random weights")
    with reaching_the_hub("ImageNet weights of 'resnet18'"):
        donor = timm.create_model("resnet18.tv_in1k", pretrained=True, in_chans=in_channels, num_classes=0)
    net = ICNet(in_channels, out_channels, arguments)
    net.backbone.load_state_dict(donor.state_dict())
    return Pretrained(net, vgg.MEAN, vgg.STD, "encoder resnet18 trained on ImageNet, random decoder")


ENTRIES = (
    ModelEntry(
        name="icnet",
        summary="ICNet, a cascade over three sizes of the image",
        source="Zhao et al., ECCV 2018, arXiv 1704.08545; on ResNet-18 as in Zhong, Li, Yang, BMC Bioinformatics"
        " 25:269, 2024",
        licence="weights BSD-3-Clause (torchvision)",
        arguments=ICNetArguments,
        construct=ICNet,
        stride=lambda _: STRIDE,
        global_statistics=True,
        pretrained=_pretrained,
        notes="logits at 1/4; auxiliary losses of weight 0.4 and 0.16; width=0.5 suits a CPU",
    ),
)
