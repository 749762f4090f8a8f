"""What the zoo knows of a model: how it is built, from which arguments, and where it comes from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict
from torch import nn

from anyscope.errors import BadInput, Subject
from anyscope.models.nets.parts import EncoderNames, Stages
from anyscope.running.documents import build_entry

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
class Adopted:
    """What of a file in another project's format a network can take over.

    Args:
        tensors: Tensors by their names in the network, of its shapes.
        unused: Tensors of the file that it has no use for, by the file's names.
        mean, std: Statistics of the images that the weights were trained with, for each of their colours.
        form: Whose format it is.
    """

    tensors: Mapping[str, torch.Tensor]
    unused: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    form: str


@dataclass(frozen=True)
class Foreign:
    """Weights that others publish for a part of a network, under names of their own.

    Args:
        name: What they are called in settings (``weights=NAME``).
        adopt: Finds what of a file the network can take over, given the network, the channels of an image (slices not
            counted), the file's tensors and the file for messages. None where it is not such a file; a
            :class:`~anyscope.errors.BadInput` where it is one for another network.
        fetch: Fetches the weights for checked arguments from the hub: their tensors, and their origin in words.
        known: SHA-256 of published files, and what they are.
    """

    name: str
    adopt: Callable[[nn.Module, int, Mapping[str, torch.Tensor], Subject], Adopted | None]
    fetch: Callable[[Any], tuple[Mapping[str, torch.Tensor], str]]
    known: Mapping[str, str]


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
        foreign: Weights of others that the network can start from; None where there are none.
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
    foreign: Foreign | None = None
    notes: str = ""

    def check(self, given: Mapping[str, Any]) -> Arguments:
        """The defaults with ``given`` in their place; a :class:`~anyscope.errors.BadInput` names what is wrong."""
        return build_entry(self.arguments, {**self.defaults, **given}, f"model {self.name!r}", "argument")

    def build(self, in_channels: int, out_channels: int, **arguments: Any) -> nn.Module:
        """The network with random weights, drawn from torch's global generator."""
        self.check_channels(in_channels, out_channels)
        return self.construct(in_channels, out_channels, self.check(arguments))

    def check_channels(self, in_channels: int, out_channels: int) -> None:
        """Refuse numbers of channels that no network has."""
        for what, channels in (("in", in_channels), ("out", out_channels)):
            if not 1 <= channels <= MAX_CHANNELS:
                raise BadInput(f"model {self.name!r}", f"{channels} channels {what}", f"1 to {MAX_CHANNELS}")
