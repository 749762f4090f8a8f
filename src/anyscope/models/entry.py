"""What the zoo knows of a model: how it is built, from which arguments, and where it comes from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from torch import nn

from anyscope.errors import BadInput, unknown_name
from anyscope.models.nets.parts import EncoderNames, Stages
from anyscope.running.documents import explain

MAX_CHANNELS = 4096
"""Bound on the channels in and out of a network, so that a damaged file cannot ask for all memory."""


class Arguments(BaseModel):
    """Base of the arguments of a family of networks: plain data, checked, frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class Pretrained:
    """A network with weights that somebody else trained.

    Args:
        net: The network.
        mean, std: Statistics of the images that it was trained with, for each of their colours.
        origin: The weights in words.
    """

    net: nn.Module
    mean: tuple[float, ...]
    std: tuple[float, ...]
    origin: str


@dataclass(frozen=True)
class ModelEntry:
    """A model of the zoo.

    Args:
        name: Its name in settings and on the command line.
        summary: What it is, in one line.
        source: The publication, and where the layout comes from.
        licence: Licence of the code and of weights that can be fetched for it.
        arguments: The model of its arguments; its fields are the valid names.
        construct: Builds the network from channels in, channels out and checked arguments, with random weights.
        stride: Down-sampling factor of a network that was built; heights and widths are padded to multiples of it.
        defaults: Arguments that differ from those of the family.
        global_statistics: Whether, for all arguments, every output pixel depends on the whole input (pooling over the
            image, attention, group normalisation), so that tiled and untiled prediction differ. Arguments can make a
            local model global (``norm=group``, a transformer as encoder): ``Segmenter.receptive_field`` finds out.
        smallest: The least height and width the network works with.
        pretrained: Builds the network with ImageNet weights; None where there are none.
        encoder: Names the tensors of a network's encoder; None where it has no encoder apart from its decoder.
        stages: Takes the forward pass of a network apart; None where that cannot be done.
        notes: Remarks for the user.
    """

    name: str
    summary: str
    source: str
    licence: str
    arguments: type[Arguments]
    construct: Callable[[int, int, Any], nn.Module]
    stride: Callable[[nn.Module], int]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    global_statistics: bool = False
    smallest: int = 1
    pretrained: Callable[[int, int, Any], Pretrained] | None = None
    encoder: Callable[[nn.Module], EncoderNames] | None = None
    stages: Callable[[nn.Module], Stages] | None = None
    notes: str = ""

    def check(self, given: Mapping[str, Any]) -> Arguments:
        """The defaults with ``given`` in their place; a :class:`~anyscope.errors.BadInput` names what is wrong."""
        valid = self.arguments.model_fields
        for name in given:
            if name not in valid:
                raise unknown_name(f"argument of model {self.name!r}", name, valid)
        try:
            return self.arguments.model_validate({**self.defaults, **given})
        except ValidationError as error:
            key, problem = explain(error)
            raise BadInput(f"argument {key!r} of model {self.name!r}", problem) from None

    def build(self, in_channels: int, out_channels: int, **arguments: Any) -> nn.Module:
        """The network with random weights, drawn from torch's global generator."""
        self.check_channels(in_channels, out_channels)
        return self.construct(in_channels, out_channels, self.check(arguments))

    def check_channels(self, in_channels: int, out_channels: int) -> None:
        """Refuse numbers of channels that no network has."""
        for what, channels in (("in", in_channels), ("out", out_channels)):
            if not 1 <= channels <= MAX_CHANNELS:
                raise BadInput(f"model {self.name!r}", f"{channels} channels {what}", f"1 to {MAX_CHANNELS}")
