"""What all decoders have in common: the registry, types of parameters, and how one is made from plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Protocol

from pydantic import ConfigDict, Field

from anyscope.contracts import Labels
from anyscope.instances.maps import Maps
from anyscope.registry import Registry
from anyscope.running.documents import build_entry

Dimensions = Literal[2, 3]
Probability = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Sigma = Annotated[float, Field(ge=0, le=50)]

CHECKED = ConfigDict(extra="forbid")
"""A parameter that no decoder has is a mistake, not something to pass over."""


class Decoder(Protocol):
    """What all decoders have in common. One may also have ``reads``: parameters that matter only where the maps have
    the head named there; the others are not tuned."""

    name: ClassVar[str]
    search: ClassVar[Mapping[str, Sequence[Any]]]
    """Values that :func:`anyscope.instances.tune` tries, by parameter."""

    def __call__(self, maps: Maps) -> Labels:
        """Labels (z, y, x) for activated maps by head."""

    def describe(self) -> str:
        """How objects are made, in words that belong beside a score."""


DECODERS: Registry[type[Any]] = Registry("decoder")


def build_decoder(name: str, parameters: Mapping[str, Any] | None = None) -> Decoder:
    """The decoder called ``name`` with ``parameters`` as a spec or a settings file has them.

    Raises:
        BadInput: For an unknown name, an unknown parameter, or a value missing or out of its range.

    >>> from anyscope.instances import build_decoder
    >>> build_decoder("components", {"threshold": 0.4}).threshold
    0.4
    """
    decoder: Decoder = build_entry(DECODERS[name], parameters or {}, f"decoder {name!r}")
    return decoder
