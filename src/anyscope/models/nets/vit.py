"""Segmenter: a plain vision transformer, and a transformer over patches and classes as decoder.

Source: Strudel, Garcia, Laptev, Schmid, ICCV 2021, arXiv 2105.05633.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import torch
from pydantic import Field, field_validator
from torch import nn

from anyscope.errors import BadInput
from anyscope.models.entry import Arguments, ModelEntry, Pretrained
from anyscope.models.nets.imagenet import with_timm_encoder
from anyscope.models.nets.parts import EncoderNames

Rate = Annotated[float, Field(ge=0, lt=1)]
_HEAD = 64
"""Channels of an attention head of the decoder."""


class SegmenterArguments(Arguments):
    """Arguments of Segmenter; the defaults are those of Seg-T-Mask/16.

    Args:
        encoder: Name of a plain vision transformer of timm.
        layers: Blocks of the decoder.
        dropout: Rate in the decoder's blocks.
        drop_path: Rate at which the encoder's last block is skipped in training, falling to 0 at the first.
    """

    encoder: str = "vit_tiny_patch16_384"
    layers: Annotated[int, Field(ge=1, le=24)] = 2
    dropout: Rate = 0.1
    drop_path: Rate = 0.1

    @field_validator("encoder")
    @classmethod
    def _known(cls, name: str) -> str:
        import timm

        plain = timm.list_models(module="vision_transformer")
        if name.partition(".")[0] not in plain:
            raise ValueError(f"{name!r} is no plain vision transformer of timm such as vit_tiny_patch16_384")
        return name


class MaskTransformer(nn.Module):
    """One learned vector for each channel of the logits goes through the decoder with the patches; logits compare them.

    A logit is the cosine between a patch and the vector of its channel, times a factor plus an offset, both learned.
    The paper normalises the cosines of a patch over the classes instead (a layer norm), which leaves nothing of the
    single logit of a binary mask and makes heads that are no classes compete; the factor starts where cosines of random
    vectors get a variance of 1, as the layer norm would give.

    Args:
        channels: Channels of the patches.
        out_channels: Channels of the logits.
        arguments: Layers and dropout.
    """

    def __init__(self, channels: int, out_channels: int, arguments: SegmenterArguments) -> None:
        super().__init__()
        from timm.models.vision_transformer import Block

        self.project = nn.Linear(channels, channels)
        self.classes = nn.Parameter(torch.empty(1, out_channels, channels))
        heads = max(1, channels // _HEAD)
        self.blocks = nn.ModuleList(
            Block(channels, heads, qkv_bias=True, proj_drop=arguments.dropout) for _ in range(arguments.layers)
        )
        self.norm = nn.LayerNorm(channels)
        self.of_patch = nn.Linear(channels, channels, bias=False)
        self.of_class = nn.Linear(channels, channels, bias=False)
        self.factor = nn.Parameter(torch.full((out_channels,), channels**0.5))
        self.offset = nn.Parameter(torch.zeros(out_channels))
        self.apply(_initialise)
        nn.init.trunc_normal_(self.classes, std=0.02)
        for layer in (self.of_patch, self.of_class):
            nn.init.normal_(layer.weight, std=channels**-0.5)

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """Logits [B, N, K] of patches [B, N, C]."""
        number = patches.shape[1]
        x = torch.cat([self.project(patches), self.classes.expand(len(patches), -1, -1)], dim=1)
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        patches = nn.functional.normalize(self.of_patch(x[:, :number]), dim=-1)
        classes = nn.functional.normalize(self.of_class(x[:, number:]), dim=-1)
        return patches @ classes.transpose(1, 2) * self.factor + self.offset


class SegmenterViT(nn.Module):
    """A vision transformer with a :class:`MaskTransformer`, the logits of its patches up-sampled to pixels.

    Args:
        in_channels, out_channels: Channels of the image and of the logits.
        arguments: See :class:`SegmenterArguments`.
        pretrained: Fetch ImageNet weights for the encoder.
    """

    def __init__(
        self, in_channels: int, out_channels: int, arguments: SegmenterArguments, pretrained: bool = False
    ) -> None:
        super().__init__()
        import timm

        encoder: Any = timm.create_model(
            arguments.encoder,
            pretrained=pretrained,
            in_chans=in_channels,
            num_classes=0,
            global_pool="",
            dynamic_img_size=True,
            drop_path_rate=arguments.drop_path,
        )
        self.patch: int = encoder.patch_embed.patch_size[0]
        self.prefix: int = encoder.num_prefix_tokens
        self.encoder: Any = encoder
        self.decoder = MaskTransformer(encoder.embed_dim, out_channels, arguments)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits [B, K, H, W] of ``x`` [B, C, H, W], H and W multiples of the patch."""
        height, width = x.shape[-2] // self.patch, x.shape[-1] // self.patch
        patches = self.encoder.forward_features(x)[:, self.prefix :]
        logits = self.decoder(patches).transpose(1, 2).unflatten(-1, (height, width))
        return nn.functional.interpolate(logits, scale_factor=self.patch, mode="bilinear", align_corners=False)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _construct(in_channels: int, out_channels: int, arguments: SegmenterArguments) -> SegmenterViT:
    try:
        return SegmenterViT(in_channels, out_channels, arguments)
    except (TypeError, ValueError, AttributeError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise BadInput(
            f"encoder {arguments.encoder!r}", f"does not work in segmenter ({reason})", remedy="choose another encoder"
        ) from error


def _pretrained(in_channels: int, out_channels: int, arguments: SegmenterArguments) -> Pretrained:
    fetch = partial(SegmenterViT, in_channels, out_channels, arguments, pretrained=True)
    return with_timm_encoder(arguments.encoder, fetch)


def _stride(net: nn.Module) -> int:
    assert isinstance(net, SegmenterViT)
    return net.patch


ENTRIES = (
    ModelEntry(
        name="segmenter",
        summary="Segmenter, a plain vision transformer with a mask transformer",
        source="Strudel et al., ICCV 2021, arXiv 2105.05633; encoder of timm",
        licence="weights: those of the encoder, for the default Apache-2.0 (google-research/vision_transformer)",
        arguments=SegmenterArguments,
        construct=_construct,
        stride=_stride,
        global_statistics=True,
        pretrained=_pretrained,
        encoder=lambda _: EncoderNames(("encoder.",)),
        notes="logits at 1/16; encoders: plain vision transformers of timm",
    ),
)
