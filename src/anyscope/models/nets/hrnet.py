"""HRNetV2: four resolutions side by side from the first stage on, all of them scored.

Source: Wang et al., TPAMI 2020, arXiv 1908.07919, section 3 (HRNetV2); encoder of timm.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from pydantic import field_validator
from torch import nn

from anyscope.models.entry import Arguments, ModelEntry, Pretrained
from anyscope.models.nets.imagenet import with_timm_encoder
from anyscope.models.nets.normalisation import BatchNorm, tolerate_single_values

STRIDE = 32


class HRNetArguments(Arguments):
    """Arguments of HRNet.

    Args:
        encoder: Name of an HRNet of timm.
    """

    encoder: str = "hrnet_w18_small_v2"

    @field_validator("encoder")
    @classmethod
    def _known(cls, name: str) -> str:
        import timm

        known = timm.list_models("hrnet_*")
        if name.partition(".")[0] not in known:
            raise ValueError(f"{name!r} is no HRNet of timm, one of {', '.join(known)} was expected")
        return name


class HRNet(nn.Module):
    """HRNet with the head of HRNetV2: four scales up-sampled to the finest, concatenated, two 1 x 1 convolutions.

    Args:
        in_channels, out_channels: Channels of the image and of the logits.
        arguments: See :class:`HRNetArguments`.
        pretrained: Fetch ImageNet weights for the encoder.
    """

    def __init__(
        self, in_channels: int, out_channels: int, arguments: HRNetArguments, pretrained: bool = False
    ) -> None:
        super().__init__()
        import timm

        encoder: Any = timm.create_model(
            arguments.encoder,
            pretrained=pretrained,
            in_chans=in_channels,
            features_only=True,
            feature_location="",  # the branches themselves, not what the classifier makes of them
            out_indices=(1, 2, 3, 4),
        )
        self.encoder: Any = encoder
        width = sum(encoder.feature_info.channels())
        self.head = nn.Sequential(
            nn.Conv2d(width, width, 1), BatchNorm(width), nn.ReLU(), nn.Conv2d(width, out_channels, 1)
        )
        tolerate_single_values(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits [B, K, H, W] of ``x`` [B, C, H, W], H and W multiples of 32."""
        scales = self.encoder(x)
        size = scales[0].shape[-2:]
        logits = self.head(torch.cat([_resize(scale, size) for scale in scales], dim=1))
        return _resize(logits, x.shape[-2:])


def _resize(x: torch.Tensor, size: torch.Size) -> torch.Tensor:
    return nn.functional.interpolate(x, size, mode="bilinear", align_corners=False)


def _pretrained(in_channels: int, out_channels: int, arguments: HRNetArguments) -> Pretrained:
    fetch = partial(HRNet, in_channels, out_channels, arguments, pretrained=True)
    return with_timm_encoder(arguments.encoder, fetch)


ENTRIES = (
    ModelEntry(
        name="hrnet",
        summary="HRNetV2, four resolutions side by side",
        source="Wang et al., TPAMI 2020, arXiv 1908.07919; encoder of timm",
        licence="weights: those of the encoder, for the default Apache-2.0 (Gluon)",
        arguments=HRNetArguments,
        construct=HRNet,
        stride=lambda _: STRIDE,
        pretrained=_pretrained,
        notes="logits at 1/4",
    ),
)
