"""What a segmenter is, as plain data. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, ValidationError, model_validator

from anyscope.contracts import HEADS, Task, head_channels
from anyscope.errors import BadInput, Subject
from anyscope.images import Intensity
from anyscope.running.documents import explain

VERSION = 1
"""Version of the document. It rises when an older anyscope would misread it."""


def _plain(value: Any) -> Any:
    """Tuples as lists, so that data is the same before it was saved and after."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


PlainData = Annotated[dict[str, JsonValue], BeforeValidator(_plain)]


class DecoderSpec(BaseModel):
    """How the maps of the heads become labels.

    Args:
        name: Name of a decoder.
        parameters: Its parameters, where they differ from the defaults; tuned ones are kept here.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    parameters: PlainData = {}


class SegmenterSpec(BaseModel):
    """What a segmenter is: network, task, heads, intensity convention, working pixel size, decoder, provenance.

    Args:
        version: Version of this document.
        model: Name in the zoo.
        arguments: Arguments of the model, where they differ from its defaults.
        task: ``semantic`` or ``instances``.
        heads: What the network predicts for every pixel, in the order of its channels.
        classes: Number of classes with background; 2 for a binary mask.
        channels: Channels of an image, 1 for grey.
        neighbours: How many neighbouring slices on either side are given beside the slice itself. The input's channels
            are ordered by slice, then by channel.
        intensity: How grey levels become 0..1.
        pixel_size_nm: Working pixel size; images are resampled to it. None where unknown: native pixels.
        decoder: How maps become labels; None for the default of the task.
        weights: Where the weights come from, in words.
        provenance: How it was trained, as plain data.

    >>> SegmenterSpec(model="unet_small", task="semantic", neighbours=1).in_channels
    3
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    version: Annotated[int, Field(ge=1, le=VERSION)] = VERSION
    model: str
    arguments: PlainData = {}
    task: Task
    heads: Annotated[tuple[str, ...], Field(min_length=1)] = ("mask",)
    classes: Annotated[int, Field(ge=2, le=1024)] = 2
    channels: Annotated[int, Field(ge=1, le=256)] = 1
    neighbours: Annotated[int, Field(ge=0, le=64)] = 0
    intensity: Intensity = Intensity()
    pixel_size_nm: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    decoder: DecoderSpec | None = None
    weights: str = "random"
    provenance: PlainData = {}

    @model_validator(mode="after")
    def _heads_are_known(self) -> Self:
        for head in self.heads:
            if head not in HEADS:
                raise ValueError(f"{head!r} is not a head, one of {', '.join(HEADS)} was expected")
        if len(set(self.heads)) != len(self.heads):
            raise ValueError(f"a head is listed twice in {', '.join(self.heads)}")
        return self

    @property
    def in_channels(self) -> int:
        """Channels of the network's input."""
        return self.channels * (2 * self.neighbours + 1)

    @property
    def out_channels(self) -> int:
        """Channels of the logits, summed over the heads."""
        return max(int(part.stop) for part in head_channels(self.heads, self.classes).values())

    @classmethod
    def from_document(cls, document: object, subject: Subject) -> Self:
        """The spec that a parsed YAML or JSON ``document`` holds.

        Args:
            document: What the parser returned.
            subject: The file, for messages.

        Raises:
            BadInput: It is no mapping, of a newer version, has unknown keys, lacks some, or has wrong values.
        """
        if not isinstance(document, dict):
            raise BadInput(subject, f"holds {type(document).__name__}, not a mapping", "the spec of a segmenter")
        version = document.get("version")
        if isinstance(version, int) and version > VERSION:
            raise BadInput(
                subject, f"was made by a newer anyscope: version {version} > {VERSION}", remedy="upgrade anyscope"
            )
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            key, problem = explain(error)
            raise BadInput(subject, f"key {key!r}: {problem}", f"one of {', '.join(cls.model_fields)}") from None

    def to_document(self) -> dict[str, Any]:
        """The spec as plain data for YAML or JSON."""
        return self.model_dump(mode="json")
