"""FCN-8s: scores at three depths of VGG16, added on the way up.

Source: Long, Shelhamer, Darrell, CVPR 2015, arXiv 1411.4038, section 4.
"""

from __future__ import annotations

from typing import Annotated, cast

import torch
from pydantic import Field
from torch import nn

from anyscope.models.entry import Arguments, ModelEntry, Pretrained
from anyscope.models.nets import vgg
from anyscope.models.nets.parts import EncoderNames
from anyscope.models.nets.vgg import VggNorm

STRIDE = 32


class FCNArguments(Arguments):
    """Arguments of FCN-8s.

    Args:
        width: Factor on the channels of all convolutions of VGG16; 1 as published.
        norm: Normalisation in the encoder. ``none`` as published, where weights of ImageNet are the start; with
            ``batch`` it trains from random weights too.
        classifier: Channels of the two convolutions, 7 x 7 and 1 x 1, that follow the encoder: 4096 as published
            (120 million parameters more), 0 for none, as in the fluorescence benchmark of Zhong, Li, Yang (2024).
    """

    width: Annotated[float, Field(gt=0, le=4)] = 1.0
    norm: VggNorm = "batch"
    classifier: Annotated[int, Field(ge=0, le=8192)] = 0


class FCN8s(nn.Module):
    """FCN-8s: the deepest scores are up-sampled 2 times, those of pool4 added, 2 times, those of pool3 added, 8 times.

    Up-sampling is by transposed convolutions that start as bilinear interpolation; the first two are trained, the last
    one stays as it is. Convolutions are padded to keep the size, in place of the paper's padding by 100 pixels and
    cutting.

    Args:
        in_channels, out_channels: Channels of the image and of the logits.
        arguments: See :class:`FCNArguments`.
    """

    def __init__(self, in_channels: int, out_channels: int, arguments: FCNArguments) -> None:
        super().__init__()
        self.stages = vgg.encoder(in_channels, arguments.width, arguments.norm)
        self.pool = nn.MaxPool2d(2)
        pool3, pool4, pool5 = (vgg.scaled(channels, arguments.width) for channels in (256, 512, 512))
        self.classifier = nn.Sequential()
        if deep := arguments.classifier:
            self.classifier = nn.Sequential(
                *(nn.Conv2d(pool5, deep, 7, padding=3), nn.ReLU(), nn.Dropout(0.5)),
                *(nn.Conv2d(deep, deep, 1), nn.ReLU(), nn.Dropout(0.5)),
            )
        self.score5 = nn.Conv2d(deep or pool5, out_channels, 1)
        self.score4 = nn.Conv2d(pool4, out_channels, 1)
        self.score3 = nn.Conv2d(pool3, out_channels, 1)
        self.up5, self.up4, self.up3 = (bilinear_upsampling(out_channels, factor) for factor in (2, 2, 8))
        self.up3.requires_grad_(False)
        self.apply(vgg.initialise)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits [B, K, H, W] of ``x`` [B, C, H, W], H and W multiples of 32."""
        pooled = []
        for stage in self.stages:
            x = self.pool(stage(x))
            pooled.append(x)
        x = self.up5(self.score5(self.classifier(x)))
        x = self.up4(x + self.score4(pooled[3]))
        return cast(torch.Tensor, self.up3(x + self.score3(pooled[2])))


def bilinear_upsampling(channels: int, factor: int) -> nn.ConvTranspose2d:
    """A transposed convolution that starts as bilinear interpolation by an even ``factor``, each channel for itself.

    The kernel is the outer product of the tent 1 - abs(x) / factor, sampled at the centres of 2 ``factor`` pixels.
    Inside, the result is that of interpolation with ``align_corners=False``; at the rim what lies outside counts as 0.
    """
    layer = nn.ConvTranspose2d(channels, channels, 2 * factor, factor, padding=factor // 2, bias=False)
    tent = 1 - (torch.arange(2 * factor) + 0.5 - factor).abs() / factor
    with torch.no_grad():
        layer.weight.zero_()
        for channel in range(channels):
            layer.weight[channel, channel] = torch.outer(tent, tent)
    return layer


def _pretrained(in_channels: int, out_channels: int, arguments: FCNArguments) -> Pretrained:
    donor, origin = vgg.imagenet("fcn8s", in_channels, arguments.width, arguments.norm)
    net = FCN8s(in_channels, out_channels, arguments)
    vgg.take_over(net.stages, donor)
    first, second = donor.get_submodule("pre_logits.fc1"), donor.get_submodule("pre_logits.fc2")
    if arguments.classifier == first.out_channels:  # 4096: the fully connected layers as convolutions
        net.classifier[0].load_state_dict(first.state_dict())
        net.classifier[3].load_state_dict(second.state_dict())
    return Pretrained(net, vgg.MEAN, vgg.STD, origin)


ENTRIES = (
    ModelEntry(
        name="fcn8s",
        summary="FCN-8s on VGG16, scores of three depths added",
        source="Long, Shelhamer, Darrell, CVPR 2015, arXiv 1411.4038; without the 4096 channels as in Zhong, Li, Yang,"
        " BMC Bioinformatics 25:269, 2024",
        licence="weights BSD-3-Clause (torchvision)",
        arguments=FCNArguments,
        construct=FCN8s,
        stride=lambda _: STRIDE,
        pretrained=_pretrained,
        encoder=lambda _: EncoderNames(("stages.",)),
        notes="classifier=4096 norm=none is the published network of 134 million parameters; width=0.25 suits a CPU",
    ),
)
