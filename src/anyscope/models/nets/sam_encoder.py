"""The image encoders of Segment Anything (SAM) and of its smaller relatives, for images of any size.

Sources: SAM, Kirillov et al., ICCV 2023, arXiv 2304.02643 (plain transformers with windows); SAM 2, Ravi et al., arXiv
2408.00714 (Hiera); MobileSAM, Zhang et al., arXiv 2306.14289 (TinyViT). The layers are those of timm.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, cast

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from anyscope.models.nets.normalisation import tolerate_single_values

Taps = Literal["global", "published"]
Position = Literal["keep", "drop"]

NECK = 256
"""Channels of SAM's neck."""
TRAINED_PX = 1024
"""Side of the images that SAM was trained on; its tables of positions are resampled for others."""


@dataclass(frozen=True)
class PlainSize:
    """Size of a plain transformer of SAM's design.

    Args:
        title: What it is called.
        channels, depth, heads: Channels, blocks, heads of attention.
        looking: Blocks whose attention spans the image; that of the others spans a window.
        window: Side of a window of attention, in patches.
        patch_px: Side of a patch.
        width: Widths of the decoder for it, as a multiple of the published ones.
    """

    title: str
    channels: int
    depth: int
    heads: int
    looking: tuple[int, ...]
    window: int = 14
    patch_px: int = 16
    width: float = 1.0


PLAIN = {
    "samvit_nano": PlainSize("ViT-nano", 128, 8, 4, (1, 3, 5, 7), window=8, width=0.25),
    "samvit_tiny": PlainSize("ViT-tiny", 192, 12, 3, (2, 5, 8, 11), window=16, width=0.25),
    "samvit_base_patch16": PlainSize("ViT-B", 768, 12, 12, (2, 5, 8, 11)),
    "samvit_large_patch16": PlainSize("ViT-L", 1024, 24, 16, (5, 11, 17, 23)),
    "samvit_huge_patch16": PlainSize("ViT-H", 1280, 32, 16, (7, 15, 23, 31)),
}
"""Nano and tiny are not of the publication and have no weights of SAM. Windows of 8 and 16 patches fill images of 256
pixels without padding, those of 14 become 28 patches where there are 16."""
HIERA = ("sam2_hiera_tiny", "sam2_hiera_small", "sam2_hiera_base_plus", "sam2_hiera_large")
MOBILE = "mobile_sam"
ENCODERS = (*PLAIN, MOBILE, *HIERA)


class SamEncoder(nn.Module, ABC):
    """An encoder: features of several depths.

    Attributes:
        name: Its name, one of ``ENCODERS``.
        channels: Channels of each of the features.
        strides: Their strides; none is smaller than the one before.
        width: Widths of the decoder for it, as a multiple of the published ones.
    """

    name: str
    channels: tuple[int, ...]
    strides: tuple[int, ...]
    width: float = 0.5

    @abstractmethod
    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Features [B, channels, h, w] of ``x`` [B, C, H, W], H and W multiples of the last stride."""


class PlainEncoder(SamEncoder):
    """A plain transformer; attention spans windows in most blocks and the image in some.

    Blocks after the last one that is used are left out. Tables of positions are those of 1024 pixels and are resampled
    to the size of the image. Linear layers and absolute positions start from a normal of deviation .02 cut at two
    deviations, relative positions from zero.

    Args:
        name: Name of its size, one of ``PLAIN``.
        in_channels: Channels of the image.
        taps: Which blocks give features. ``global``: the last four whose attention spans the image. ``published``: the
            first blocks of the four quarters (0, 3, 6, 9 of ViT-B), as EM-SAM took them.
        position: ``drop`` leaves absolute positions out, as EM-SAM did.
        neck: The last features are those of the neck behind all blocks, 256 channels, and not those of the last tap.
        checkpointing: Keep no features within blocks for the backward pass but compute them again.
    """

    def __init__(
        self,
        name: str,
        in_channels: int,
        taps: Taps = "global",
        position: Position = "keep",
        neck: bool = False,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        from timm.models.vision_transformer_sam import VisionTransformerSAM

        size = PLAIN[name]
        norm: Any = partial(nn.LayerNorm, eps=1e-6)  # timm's default is 1e-5, which SAM was not trained with
        whole: Any = VisionTransformerSAM(
            img_size=TRAINED_PX,
            patch_size=size.patch_px,
            in_chans=in_channels,
            num_classes=0,
            embed_dim=size.channels,
            depth=size.depth,
            num_heads=size.heads,
            use_rel_pos=True,
            window_size=size.window,
            global_attn_indexes=size.looking,
            neck_chans=NECK,
            norm_layer=norm,
        )
        self.name, self.size = name, size
        self.taps = tap_blocks(size, taps)
        self.patch_embed: Any = whole.patch_embed
        self.pos_embed: nn.Parameter | None = whole.pos_embed if position == "keep" else None
        self.blocks: Any = whole.blocks if neck else whole.blocks[: self.taps[-1] + 1]
        self.neck: Any = whole.neck if neck else None
        self.checkpointing = checkpointing
        self.channels = (*[size.channels] * (len(self.taps) - 1), NECK if neck else size.channels)
        self.strides = (size.patch_px,) * len(self.taps)
        self.width = size.width
        self.apply(_initialise)
        if self.pos_embed is not None:
            nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Features at the stride of a patch; see :class:`SamEncoder`."""
        from timm.layers.pos_embed import resample_abs_pos_embed_nhwc

        x = self.patch_embed(x)
        if self.pos_embed is not None:
            x = x + resample_abs_pos_embed_nhwc(self.pos_embed, x.shape[1:3])
        features = []
        for number, block in enumerate(self.blocks):
            again = self.checkpointing and torch.is_grad_enabled()
            x = checkpoint(block, x, use_reentrant=False) if again else block(x)
            if number in self.taps:
                features.append(x.permute(0, 3, 1, 2))
        if self.neck is not None:
            features[-1] = self.neck(x.permute(0, 3, 1, 2))
        return features


def tap_blocks(size: PlainSize, taps: Taps) -> tuple[int, ...]:
    """Numbers of the blocks that give features.

    >>> tap_blocks(PLAIN["samvit_base_patch16"], "global")
    (2, 5, 8, 11)
    >>> tap_blocks(PLAIN["samvit_base_patch16"], "published")
    (0, 3, 6, 9)
    """
    if taps == "global":
        return size.looking
    count = len(size.looking)
    return tuple(number * size.depth // count for number in range(count))


class HieraEncoder(SamEncoder):
    """The encoder of SAM 2: features at strides 4, 8, 16 and 32, before its feature pyramid.

    Args:
        name: Name in timm.
        in_channels: Channels of the image.
        checkpointing: See :class:`PlainEncoder`.
    """

    def __init__(self, name: str, in_channels: int, checkpointing: bool = False) -> None:
        super().__init__()
        import timm

        self.name = name
        self.trunk = cast(Any, timm.create_model(name, in_chans=in_channels, num_classes=0))
        self.trunk.head = nn.Identity()
        self.trunk.set_grad_checkpointing(checkpointing)
        self.channels = tuple(stage["num_chs"] for stage in self.trunk.feature_info)
        self.strides = tuple(stage["reduction"] for stage in self.trunk.feature_info)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Features of the four stages; see :class:`SamEncoder`."""
        features: list[torch.Tensor] = self.trunk.forward_intermediates(x, intermediates_only=True)
        return features


class MobileEncoder(SamEncoder):
    """The encoder of MobileSAM, TinyViT-5M whose last stage keeps its size: features at strides 4, 8, 16 and 16.

    Args:
        in_channels: Channels of the image.
    """

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        # not by name: importing MobileSAM's own code replaces the network of that name
        from timm.models.tiny_vit import tiny_vit_5m_224

        self.name = MOBILE
        self.trunk = cast(Any, tiny_vit_5m_224(in_chans=in_channels, num_classes=0))
        self.trunk.head = nn.Identity()
        self.trunk.stages[-1].downsample.conv2.conv.stride = (1, 1)
        tolerate_single_values(self.trunk)
        self.channels = tuple(stage["num_chs"] for stage in self.trunk.feature_info)
        strides = [stage["reduction"] for stage in self.trunk.feature_info]
        self.strides = (*strides[:-1], strides[-2])

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Features of the four stages; see :class:`SamEncoder`."""
        for module in self.trunk.modules():
            if hasattr(module, "attention_bias_cache"):
                module.attention_bias_cache = {}  # it would keep the graph of the pass before
        features: list[torch.Tensor] = self.trunk.forward_intermediates(x, intermediates_only=True)
        return features


def build_encoder(
    name: str, in_channels: int, taps: Taps, position: Position, neck: bool, checkpointing: bool
) -> SamEncoder:
    """The encoder called ``name``, one of ``ENCODERS``, with random weights."""
    if name in PLAIN:
        return PlainEncoder(name, in_channels, taps, position, neck, checkpointing)
    if name == MOBILE:
        return MobileEncoder(in_channels)
    return HieraEncoder(name, in_channels, checkpointing)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
