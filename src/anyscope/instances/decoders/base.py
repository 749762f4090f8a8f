"""What all decoders have in common: the registry, types of parameters, and how one is made from plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Protocol

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from anyscope.contracts import Labels
from anyscope.errors import BadInput
from anyscope.instances.maps import Maps
from anyscope.registry import Registry

Dimensions = Literal[2, 3]
Probability = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Sigma = Annotated[float, Field(ge=0, le=50)]
Offsets = tuple[tuple[int, int, int], ...]
"""(dz, dy, dx) of each affinity channel: it says whether a pixel and the one at the offset are in the same object."""

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
    entry = DECODERS[name]
    try:
        made: Decoder = TypeAdapter(entry).validate_python(dict(parameters or {}))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        found = "nothing" if first["type"] == "missing" else f"{first.get('input')!r}"
        raise BadInput(f"decoder {name!r}, {key}", found, first["msg"]) from None
    return made
