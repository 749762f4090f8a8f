"""A U-shaped segmenter on the image encoder of Segment Anything (SAM).

Source: EM-SAM, Optics and Precision Engineering 32(18), 2024, doi 10.37188/OPE.20243218.2836: SAM's encoder with the
decoder of a 2D UNETR, both fine-tuned. Two choices of its implementation cost accuracy and are options here, not
defaults: it takes features behind blocks 0, 3, 6 and 9, where attention spans windows only (``taps=published``), and it
leaves absolute positions out (``position=drop``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Self, cast

import torch
from pydantic import Field, field_validator, model_validator
from torch import nn

from anyscope.errors import Subject
from anyscope.models.entry import Adopted, Arguments, Foreign, ModelEntry
from anyscope.models.nets import sam_weights
from anyscope.models.nets.low_rank import adapt_attention
from anyscope.models.nets.parts import EncoderNames, Features, Stages
from anyscope.models.nets.sam_encoder import ENCODERS, HIERA, MOBILE, PLAIN, PlainEncoder, Position, Taps, build_encoder
from anyscope.models.nets.unetr import UNETRDecoder


class SamArguments(Arguments):
    """Arguments of a U-shaped segmenter on an encoder of SAM.

    Args:
        encoder: ``samvit_nano`` or ``samvit_tiny`` (SAM's design, small, no weights), ``samvit_base_patch16``,
            ``samvit_large_patch16``, ``samvit_huge_patch16`` (SAM), ``mobile_sam``, or ``sam2_hiera_tiny``, ``_small``,
            ``_base_plus``, ``_large`` (SAM 2).
        taps: Features behind the blocks of global attention, or ``published`` as EM-SAM took them.
        position: Keep absolute positions, or ``drop`` them as EM-SAM did.
        neck: Start the decoder from SAM's neck (256 channels, behind all blocks) and not from the last tap.
        stem: Give the decoder features of the image itself.
        width: Widths of the decoder as a multiple of the published ones; None for what suits the encoder.
        lora_rank: Rank of adapters beside the queries and values of every block; 0 for none. A network that has them is
            trained with ``tune=lora``: of the encoder nothing else learns, which makes sense with weights of SAM only.
        checkpointing: Compute features within blocks again in the backward pass, which needs less memory and about a
            third more time.
    """

    encoder: str = "samvit_tiny"
    taps: Taps = "global"
    position: Position = "keep"
    neck: bool = False
    stem: bool = True
    width: Annotated[float, Field(ge=0.05, le=4, allow_inf_nan=False)] | None = None
    lora_rank: Annotated[int, Field(ge=0, le=256)] = 0
    checkpointing: bool = False

    @field_validator("encoder")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in ENCODERS:
            raise ValueError(f"{name!r} is no encoder of SAM, one of {', '.join(ENCODERS)} was expected")
        return name

    @model_validator(mode="after")
    def _fits_the_encoder(self) -> Self:
        if self.encoder in PLAIN:
            return self
        plain: dict[str, Any] = {"taps": "global", "position": "keep", "neck": False, "lora_rank": 0}
        if self.encoder == MOBILE:
            plain["checkpointing"] = False  # running statistics of its batch normalisation would move twice
        for name, value in plain.items():
            if getattr(self, name) != value:
                able = ", ".join([*PLAIN, *(HIERA if name == "checkpointing" else ())])
                raise ValueError(f"{name}={getattr(self, name)} is of {able} alone, not of {self.encoder}")
        return self


class SamUNet(nn.Module):
    """An encoder of SAM with the decoder of a 2D UNETR.

    Args:
        in_channels, out_channels: Channels of the image and of the logits.
        arguments: See :class:`SamArguments`.
    """

    def __init__(self, in_channels: int, out_channels: int, arguments: SamArguments) -> None:
        super().__init__()
        self.encoder = build_encoder(
            arguments.encoder,
            in_channels,
            arguments.taps,
            arguments.position,
            arguments.neck,
            arguments.checkpointing,
        )
        scale = arguments.width or self.encoder.width
        self.decoder = UNETRDecoder(in_channels, self.encoder.channels, self.encoder.strides, scale, arguments.stem)
        self.head = nn.Conv2d(self.decoder.width, out_channels, 1)
        if arguments.lora_rank:
            adapt_attention(cast(PlainEncoder, self.encoder).blocks, arguments.lora_rank)

    @property
    def stride(self) -> int:
        """Stride of the coarsest features."""
        return self.encoder.strides[-1]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits [B, K, H, W] of ``x`` [B, C, H, W], H and W multiples of the stride."""
        logits: torch.Tensor = self.head(self.decoder(self.encode(x)))
        return logits

    def encode(self, x: torch.Tensor) -> Features:
        """The image itself, then the encoder's features."""
        return [x, *self.encoder(x)]


def _net(net: nn.Module) -> SamUNet:
    assert isinstance(net, SamUNet)
    return net


def _stages(net: nn.Module) -> Stages:
    own = _net(net)
    return Stages(own.encode, own.decoder, own.head, own.encoder.channels[-1], own.decoder.width)


def _adopt(net: nn.Module, channels: int, found: Mapping[str, torch.Tensor], subject: Subject) -> Adopted | None:
    adopted = sam_weights.adopt(_net(net).encoder, channels, found, subject)
    if adopted is None:
        return None
    return replace(adopted, tensors={f"{_ENCODER}{name}": tensor for name, tensor in adopted.tensors.items()})


def _fetch(arguments: SamArguments) -> tuple[Mapping[str, torch.Tensor], str]:
    return sam_weights.fetch(arguments.encoder)


_ENCODER = "encoder."


def _entry(name: str, summary: str, encoder: str, notes: str) -> ModelEntry:
    return ModelEntry(
        name=name,
        summary=summary,
        source="EM-SAM, Optics and Precision Engineering 32(18), 2024; SAM: Kirillov et al., arXiv 2304.02643",
        licence="weights of SAM, SAM 2 and MobileSAM: Apache-2.0; they are not shipped",
        arguments=SamArguments,
        construct=SamUNet,
        stride=lambda net: _net(net).stride,
        defaults={"encoder": encoder},
        global_statistics=True,
        encoder=lambda _: EncoderNames((_ENCODER,)),
        stages=_stages,
        foreign=Foreign("sam", _adopt, _fetch, sam_weights.PUBLISHED),
        notes=notes,
    )


ENTRIES = (
    _entry(
        "sam_unet",
        "SAM's encoder in small (ViT-tiny) with a U-shaped decoder",
        "samvit_tiny",
        "SAM's architecture without its weights, for a CPU; encoder=samvit_nano is smaller, mobile_sam and"
        " sam2_hiera_tiny take weights of MobileSAM and SAM 2",
    ),
    _entry(
        "sam_unet_base",
        "SAM's ViT-B with a U-shaped decoder, the layout of EM-SAM",
        "samvit_base_patch16",
        "start from sam_vit_b_01ec64.pth (--init) or weights=sam, on a GPU; encoder=samvit_large_patch16 and"
        " samvit_huge_patch16 are larger",
    ),
)
