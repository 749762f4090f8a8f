"""The convolutions of VGG16 in their five stages, at any width, with weights of ImageNet where they fit.

Source: Simonyan, Zisserman, arXiv 1409.1556, configuration D; batch normalisation and first weights as in torchvision.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from anyscope.errors import BadInput
from anyscope.models.hub import reaching_the_hub
from anyscope.models.nets.normalisation import norm_layer

VggNorm = Literal["batch", "none"]
STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Channels of the convolutions of each stage; a 2 x 2 maximum follows every stage."""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Statistics of ImageNet that the weights were trained with."""


def scaled(channels: int, width: float) -> int:
    """``channels`` times ``width``, at least 1."""
    return max(1, round(channels * width))


def convolutions(channels_in: int, channels: tuple[int, ...], norm: VggNorm) -> nn.Sequential:
    """3 x 3 convolutions, each with bias, normalisation and ReLU."""
    layers: list[nn.Module] = []
    for before, after in zip((channels_in, *channels), channels, strict=False):
        layers += [nn.Conv2d(before, after, 3, padding=1), norm_layer(norm, after), nn.ReLU()]
    return nn.Sequential(*layers)


def encoder(in_channels: int, width: float, norm: VggNorm) -> nn.ModuleList:
    """The five stages, without the pooling between them."""
    stages = [tuple(scaled(channels, width) for channels in stage) for stage in STAGES]
    before = (in_channels, *(stage[-1] for stage in stages))
    return nn.ModuleList(convolutions(b, stage, norm) for b, stage in zip(before, stages, strict=False))


def initialise(module: nn.Module) -> None:
    """He's normal numbers by fan out for convolutions, no biases, as torchvision starts VGG16; for ``Module.apply``."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def imagenet(model: str, in_channels: int, width: float, norm: VggNorm) -> tuple[nn.Module, str]:
    """VGG16 of timm with torchvision's weights for ImageNet, and what they are in words.

    Args:
        model: The model that asks, for messages.
        in_channels: Channels in; the weights of the first convolution are summed or repeated for other than three.
        width, norm: As for :func:`encoder`.

    Raises:
        BadInput: The width is not 1.
    """
    import timm

    if width != 1:
        raise BadInput(f"model {model!r}", f"has no ImageNet weights for width {width}", "width 1 or random weights")
    name = "vgg16_bn" if norm == "batch" else "vgg16"
    with reaching_the_hub(f"ImageNet weights of {name!r}"):
        donor: nn.Module = timm.create_model(f"{name}.tv_in1k", pretrained=True, in_chans=in_channels, num_classes=0)
    return donor, f"encoder {name} trained on ImageNet, random decoder"


@torch.no_grad()
def take_over(stages: nn.ModuleList, donor: nn.Module) -> None:
    """Copy the convolutions and normalisations of a VGG16 with ``features`` into the stages, layer by layer."""
    wanted = [layer for stage in stages for layer in stage if layer.state_dict()]  # type: ignore[attr-defined]
    given = [layer for layer in donor.features if layer.state_dict()]  # type: ignore[union-attr]
    for layer, other in zip(wanted, given, strict=True):
        layer.load_state_dict(other.state_dict())
