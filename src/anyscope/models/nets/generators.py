"""Networks that make images of images (or of masks): the residual generator of CycleGAN and CUT.

Sources: Johnson et al., ECCV 2016 (residual blocks); Zhu et al., ICCV 2017, arXiv 1703.10593 (CycleGAN); Park et al.,
ECCV 2020, arXiv 2007.15651 (CUT: anti-aliased resampling, features of inner layers).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, cast

import torch
from pydantic import Field
from torch import nn

from anyscope.errors import BadInput
from anyscope.models.entry import Arguments, ModelEntry
from anyscope.models.nets.antialias import BlurDown, BlurUp

STRIDE = 4
SMALLEST_PX = 8
"""Two halvings leave 2 x 2 pixels, the least that can be reflected."""
_NEARLY_ONE = 0.99
"""Grey levels that enter the skip of a residual generator are kept within +-.99: the inverse of tanh has no end."""

Initialisation = Literal["xavier", "normal"]


class GeneratorArguments(Arguments):
    """Arguments of the residual generator.

    Args:
        blocks: Residual blocks at a quarter of the size; 9 as published.
        filters: Channels at full size, twice and four times as many below; 64 as published.
        antialias: Blur before taking every second pixel and interpolate on the way up, as CUT does; otherwise strided
            and transposed convolutions, as CycleGAN does.
        residual: Add the input to the result before the last tanh, so that a new network is nearly the identity and
            only the change of style is learned. Not in the publications.
        initialisation: Of the weights: ``xavier`` normal with gain .02 (CUT) or ``normal`` with standard deviation .02
            (CycleGAN).
    """

    blocks: Annotated[int, Field(ge=0, le=64)] = 9
    filters: Annotated[int, Field(ge=1, le=1024)] = 64
    antialias: bool = True
    residual: bool = False
    initialisation: Initialisation = "xavier"


class ResidualBlock(nn.Module):
    """x + two 3 x 3 convolutions of x, each with reflected rims and instance normalisation, ReLU between them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.change = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            nn.InstanceNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features of the same shape."""
        return x + cast(torch.Tensor, self.change(x))


class ResnetGenerator(nn.Module):
    """Images [B, C_out, H, W] in -1..1 (tanh) of images [B, C_in, H, W] in -1..1, H and W multiples of 4.

    A 7 x 7 convolution, two halvings, residual blocks, two doublings, a 7 x 7 convolution; every convolution but those
    of the ends is 3 x 3, all but the last are followed by instance normalisation without weights. ``layers`` is
    numbered as published: with ``antialias``, 0 is the reflected input, 4 and 8 are the convolutions of the halvings,
    and 12 is the first residual block, so that CUT's 0, 4, 8, 12, 16 end at the fifth of 9 blocks.

    Args:
        in_channels, out_channels: C_in and C_out.
        arguments: See :class:`GeneratorArguments`.

    Raises:
        BadInput: ``residual`` where C_in and C_out differ.
    """

    def __init__(self, in_channels: int, out_channels: int, arguments: GeneratorArguments) -> None:
        super().__init__()
        if arguments.residual and in_channels != out_channels:
            raise BadInput("argument 'residual'", f"{in_channels} channels in, {out_channels} out", "the same number")
        filters = arguments.filters
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(in_channels, filters, 7), *_normalised(filters)]
        for width in (2 * filters, 4 * filters):
            if arguments.antialias:
                layers += [nn.Conv2d(width // 2, width, 3, padding=1), *_normalised(width), BlurDown(width)]
            else:
                layers += [nn.Conv2d(width // 2, width, 3, stride=2, padding=1), *_normalised(width)]
        self.first_block = len(layers)
        layers += [ResidualBlock(4 * filters) for _ in range(arguments.blocks)]
        for width in (2 * filters, filters):
            if arguments.antialias:
                layers += [BlurUp(), nn.Conv2d(2 * width, width, 3, padding=1)]
            else:
                layers.append(nn.ConvTranspose2d(2 * width, width, 3, stride=2, padding=1, output_padding=1))
            layers += _normalised(width)
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(filters, out_channels, 7)]
        self.layers = nn.Sequential(*layers)
        self.residual = arguments.residual
        initialise(self, arguments.initialisation)

    @property
    def contrast_layers(self) -> tuple[int, ...]:
        """The layers whose patches CUT compares: 0, 4, 8, 12, 16 for 9 anti-aliased blocks.

        In general: the reflected input, the convolutions of both halvings, the first residual block, and the one in
        the middle.
        """
        convolutions = [i for i, layer in enumerate(self.layers) if isinstance(layer, nn.Conv2d)][1:3]
        blocks = [i for i, layer in enumerate(self.layers) if isinstance(layer, ResidualBlock)]
        inner = sorted({blocks[0], blocks[len(blocks) // 2]}) if blocks else []
        return (0, *convolutions, *inner)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The image made of ``x``."""
        return self._finish(x, self.layers(x))

    def forward_with_features(
        self, x: torch.Tensor, layers: Sequence[int]
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """The image made of ``x``, and the outputs of the layers with the given numbers on the way."""
        features, last = self._walk(x, layers, len(self.layers))
        return self._finish(x, last), features

    def features(self, x: torch.Tensor, layers: Sequence[int]) -> tuple[torch.Tensor, ...]:
        """The outputs of the layers with the given numbers; layers behind the last of them are not computed."""
        return self._walk(x, layers, max(layers) + 1)[0]

    def _walk(self, x: torch.Tensor, layers: Sequence[int], stop: int) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
        found = {}
        for number, layer in enumerate(self.layers[:stop]):
            x = layer(x)
            if number in layers:
                # Every convolution is followed by a normalisation, so that no ReLU writes into what is kept.
                found[number] = x
        return tuple(found[number] for number in layers), x

    def _finish(self, x: torch.Tensor, change: torch.Tensor) -> torch.Tensor:
        return (change + x.clamp(-_NEARLY_ONE, _NEARLY_ONE).atanh() if self.residual else change).tanh()


def _normalised(channels: int) -> list[nn.Module]:
    return [nn.InstanceNorm2d(channels), nn.ReLU(inplace=True)]


def initialise(net: nn.Module, how: Initialisation) -> None:
    """Draw the weights of all convolutions and linear layers anew, from torch's global generator; biases are 0.

    Args:
        net: Changed in place.
        how: See :class:`GeneratorArguments`.
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            if how == "xavier":
                nn.init.xavier_normal_(module.weight, gain=0.02)
            else:
                nn.init.normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


ENTRIES = (
    ModelEntry(
        name="resnet_generator",
        summary="residual generator of CycleGAN and CUT, 9 blocks",
        source="Park et al., ECCV 2020, arXiv 2007.15651; Zhu et al., ICCV 2017, arXiv 1703.10593",
        licence="code Apache-2.0",
        arguments=GeneratorArguments,
        construct=ResnetGenerator,
        stride=lambda _: STRIDE,
        global_statistics=True,
        smallest=SMALLEST_PX,
    ),
)
