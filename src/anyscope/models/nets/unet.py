"""U-Nets: a plain one in three sizes, and an Attention U-Net with two kinds of gates.

The layout is the one of Ronneberger et al. (MICCAI 2015) with padded convolutions: at every level two 3 x 3
convolutions, between levels 2 x 2 max pooling down and a 2 x 2 transposed convolution up, the skip concatenated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Literal, Self, cast

import torch
from pydantic import Field, model_validator
from torch import nn

from anyscope.models.entry import Arguments, ModelEntry
from anyscope.models.nets.normalisation import Norm, norm_layer
from anyscope.models.nets.parts import EncoderNames, Stages

Activation = Literal["relu", "leaky_relu", "elu", "gelu", "silu"]
_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": lambda: nn.LeakyReLU(0.01),
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
}
Filters = Annotated[tuple[Annotated[int, Field(ge=1, le=2048)], ...], Field(min_length=2, max_length=8)]
Rate = Annotated[float, Field(ge=0, lt=1)]


class UNetArguments(Arguments):
    """Arguments of the plain U-Nets.

    Args:
        filters: Channels at every level, the finest first; as many levels as numbers.
        norm: Normalisation after every 3 x 3 convolution. ``group`` takes its statistics over the whole image.
        activation: Non-linearity after it.
        dropout: Rate between the two convolutions of a level: one number for all, or one for each level.
    """

    filters: Filters = (64, 128, 256, 512, 1024)
    norm: Norm = "batch"
    activation: Activation = "relu"
    dropout: Rate | tuple[Rate, ...] = 0.0

    @property
    def rates(self) -> tuple[float, ...]:
        """The dropout rate of each level."""
        return self.dropout if isinstance(self.dropout, tuple) else (self.dropout,) * len(self.filters)

    @model_validator(mode="after")
    def _one_rate_per_level(self) -> Self:
        if len(self.rates) != len(self.filters):
            raise ValueError(f"dropout has {len(self.rates)} rates for {len(self.filters)} levels of filters")
        return self


class AttentionUNetArguments(UNetArguments):
    """Arguments of the Attention U-Net; the defaults are those of Franco-Barranco et al. (2022).

    Args:
        gate: ``authors`` or ``oktay``; see :class:`AuthorsGate` and :class:`OktayGate`.
    """

    filters: Filters = (16, 32, 64, 128, 256)
    norm: Norm = "none"
    activation: Activation = "elu"
    dropout: Rate | tuple[Rate, ...] = (0.1, 0.1, 0.2, 0.2, 0.3)
    gate: Literal["authors", "oktay"] = "authors"


class DoubleConvolution(nn.Sequential):
    """Two 3 x 3 convolutions, each with normalisation and activation, dropout between them."""

    def __init__(self, channels_in: int, channels_out: int, norm: Norm, activation: str, dropout: float) -> None:
        biased = norm == "none"
        super().__init__(
            nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=biased),
            norm_layer(norm, channels_out),
            _ACTIVATIONS[activation](),
            nn.Dropout(dropout),
            nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=biased),
            norm_layer(norm, channels_out),
            _ACTIVATIONS[activation](),
        )


class AdditiveGate(nn.Module):
    """Additive attention, a number psi in 0..1 for every pixel: sigmoid(conv(relu(conv(skip) + conv(x)))), all 1 x 1.

    Source: Oktay et al., Attention U-Net, arXiv 1804.03999, section 3.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.of_skip = nn.Conv2d(channels, channels, 1)
        self.of_decoder = nn.Conv2d(channels, channels, 1)
        self.psi = nn.Conv2d(channels, 1, 1)

    def attention(self, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        """Psi [B, 1, H, W] of the decoder's features ``x`` and the encoder's ``skip``, both [B, C, H, W]."""
        return torch.sigmoid(self.psi(torch.relu(self.of_skip(skip) + self.of_decoder(x))))


class OktayGate(AdditiveGate):
    """The published gate: psi weights the encoder's features, so what is concatenated is [x, skip * psi]."""

    def forward(self, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        """The features to concatenate to ``x``."""
        return skip * self.attention(x, skip)


class AuthorsGate(AdditiveGate):
    """The gate of Franco-Barranco et al. (CMPB 222:106949): psi weights the decoder's own features.

    What is concatenated is [x, x * psi]; the encoder's features enter through psi alone.
    """

    def forward(self, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        """The features to concatenate to ``x``."""
        return x * self.attention(x, skip)


class PlainSkip(nn.Module):
    """No gate: the encoder's features are concatenated as they are."""

    def forward(self, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:  # noqa: ARG002  (the gates need both)
        """The features to concatenate to ``x``."""
        return skip


class UNet(nn.Module):
    """A U-Net with ``len(filters)`` levels.

    Args:
        in_channels, out_channels: Channels of the image and of the logits.
        arguments: Filters, normalisation, activation, dropout.
        gate: Makes the module that turns (decoder features, skip), both of so many channels, into what is
            concatenated to the decoder's features.

    Weights start as in the Keras models of this family: He's truncated normal for 3 x 3 convolutions (He et al., ICCV
    2015), Glorot's uniform for the others, zero biases.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        arguments: UNetArguments,
        gate: Callable[[int], nn.Module] = lambda _: PlainSkip(),
    ) -> None:
        super().__init__()
        filters, rates = arguments.filters, arguments.rates
        norm, activation = arguments.norm, arguments.activation
        self.stride: int = 2 ** (len(filters) - 1)
        self.down = nn.ModuleList(
            DoubleConvolution(before, width, norm, activation, rate)
            for before, width, rate in zip((in_channels, *filters), filters, rates, strict=False)
        )
        self.pool = nn.MaxPool2d(2)
        coarse_to_fine = list(zip(filters[:0:-1], filters[-2::-1], rates[-2::-1], strict=True))
        self.up = nn.ModuleList(nn.ConvTranspose2d(below, width, 2, 2) for below, width, _ in coarse_to_fine)
        self.gates = nn.ModuleList(gate(width) for _, width, _ in coarse_to_fine)
        self.merge = nn.ModuleList(
            DoubleConvolution(2 * width, width, norm, activation, rate) for _, width, rate in coarse_to_fine
        )
        self.head = nn.Conv2d(filters[0], out_channels, 1)
        self.apply(initialise_convolution)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits [B, K, H, W] of ``x`` [B, C, H, W], H and W multiples of the stride."""
        return self.decode(self.encode(x))

    def encode(self, x: torch.Tensor) -> list[torch.Tensor]:
        """The features [B, filters, h, w] of every level, the finest first; the last are those of the bottleneck."""
        features: list[torch.Tensor] = []
        for level, convolutions in enumerate(self.down):
            x = convolutions(x if level == 0 else self.pool(x))
            features.append(x)
        return features

    def expand(self, features: Sequence[torch.Tensor]) -> torch.Tensor:
        """The decoder's finest features [B, filters, H, W], of which the head makes logits."""
        *skips, x = features
        for up, gate, merge in zip(self.up, self.gates, self.merge, strict=True):
            x = up(x)
            x = merge(torch.cat([x, gate(x, skips.pop())], dim=1))
        return x

    def decode(self, features: Sequence[torch.Tensor]) -> torch.Tensor:
        """Logits [B, K, H, W] of what :meth:`encode` returned."""
        return cast(torch.Tensor, self.head(self.expand(features)))


def initialise_convolution(module: nn.Module) -> None:
    """Start a convolution as in :class:`UNet`; other layers stay as they are."""
    if not isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        return
    if module.kernel_size == (3, 3):
        # a normal cut at two standard deviations has .8796 of the deviation it was cut from
        _cut_normal(module.weight, (2 / (module.in_channels * 9)) ** 0.5 / 0.87962566103423978)
    else:
        nn.init.xavier_uniform_(module.weight)
    if module.bias is not None:
        nn.init.zeros_(module.bias)


@torch.no_grad()
def _cut_normal(weight: torch.Tensor, deviation: float) -> None:
    """Fill with normal numbers, those beyond two deviations drawn again; much faster than trunc_normal_."""
    weight.normal_(0, deviation)
    flat = weight.view(-1)
    outside = (flat.abs() > 2 * deviation).nonzero().flatten()
    while len(outside):
        again = torch.randn(len(outside)) * deviation
        flat[outside] = again
        outside = outside[again.abs() > 2 * deviation]


def _stride(net: nn.Module) -> int:
    assert isinstance(net, UNet)
    return net.stride


def _encoder(net: nn.Module) -> EncoderNames:
    assert isinstance(net, UNet)
    *levels, bottleneck = (f"down.{level}." for level in range(len(net.down)))
    return EncoderNames(tuple(levels), (bottleneck,))


def _stages(net: nn.Module) -> Stages:
    assert isinstance(net, UNet)
    widths = [level[0].out_channels for level in net.down]  # type: ignore[index]  # the first convolution of each
    return Stages(net.encode, net.expand, net.head, channels=widths[-1], width=widths[0])


def _attention_unet(in_channels: int, out_channels: int, arguments: AttentionUNetArguments) -> UNet:
    gates: dict[str, Callable[[int], nn.Module]] = {"authors": AuthorsGate, "oktay": OktayGate}
    return UNet(in_channels, out_channels, arguments, gates[arguments.gate])


_RONNEBERGER = "Ronneberger, Fischer, Brox, MICCAI 2015, arXiv 1505.04597"


def _plain(name: str, summary: str, filters: Sequence[int], source: str = "", notes: str = "") -> ModelEntry:
    return ModelEntry(
        name=name,
        summary=summary,
        source=f"{_RONNEBERGER}{source}",
        licence="no pretrained weights",
        arguments=UNetArguments,
        construct=UNet,
        stride=_stride,
        defaults={"filters": tuple(filters)},
        encoder=_encoder,
        stages=_stages,
        notes=notes,
    )


_ZHONG = "; size as in Zhong, Li, Yang, BMC Bioinformatics 25:269, 2024"
ENTRIES = (
    _plain("unet", "U-Net, 5 levels of 64 to 1024 filters, batch normalisation", (64, 128, 256, 512, 1024), _ZHONG),
    _plain(
        "unet_small",
        "U-Net, 5 levels of 16 to 256 filters, 2 million parameters",
        (16, 32, 64, 128, 256),
        notes="the default where there is no GPU",
    ),
    _plain("unet_3level", "U-Net, 3 levels of 64, 128 and 256 filters", (64, 128, 256), _ZHONG),
    _plain("unet_simple", "U-Net, 3 levels of 16, 32 and 64 filters", (16, 32, 64), _ZHONG),
    ModelEntry(
        name="attention_unet",
        summary="Attention U-Net, 5 levels of 16 to 256 filters, ELU, dropout, no normalisation",
        source="Oktay et al., arXiv 1804.03999; layout of Franco-Barranco et al., CMPB 222:106949, 2022",
        licence="no pretrained weights",
        arguments=AttentionUNetArguments,
        construct=_attention_unet,
        stride=_stride,
        encoder=_encoder,
        stages=_stages,
        notes="gate=authors weights the decoder's features, gate=oktay the skip, as published",
    ),
)
