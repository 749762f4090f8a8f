"""What a segmenter is, as plain data. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, ValidationError, model_validator

from anyscope.contracts import HEADS, HeadLayout, Offset, Task
from anyscope.errors import BadInput, Subject
from anyscope.images import Intensity
from anyscope.images.resampling import pixels_in_words
from anyscope.running.documents import explain, versioned

VERSION = 1
"""Version of the document. It rises when an older anyscope would misread it."""


def _plain(value: Any) -> Any:
    """Tuples as lists, so that data is the same before it was saved and after."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


PlainData = Annotated[dict[str, JsonValue], BeforeValidator(_plain)]


class LinkerSpec(BaseModel):
    """How objects of slices become objects of a volume.

    Args:
        name: Name of a linker.
        parameters: Its parameters, where they differ from the defaults.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    parameters: PlainData = {}


class DecoderSpec(BaseModel):
    """How the maps of the heads become labels.

    Args:
        name: Name of a decoder.
        parameters: Its parameters, where they differ from the defaults; tuned ones are kept here.
        linker: What is done with objects of slices after that; None for nothing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    parameters: PlainData = {}
    linker: LinkerSpec | None = None


class TranslatorSpec(BaseModel):
    """A network that changes the style of images; its weights are saved among the segmenter's.

    Args:
        name: Name of a generator.
        arguments: Its arguments, where they differ from the defaults.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    arguments: PlainData = {}


class InputTransform(BaseModel):
    """What is done to images before the network sees them, where it was adapted to a microscope it was not trained on.

    Args:
        zoom: Working pixels for each nominal working pixel: above 1 images are enlarged beyond what their pixel size
            says, or beyond their own pixels where it is unknown.
        levels: Of each channel of an image the new grey levels (0..1) for as many equally spaced old ones from 0 to 1,
            linear in between; empty for none.
        translator: Changes the style of images after that; None for none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    zoom: Annotated[float, Field(ge=0.1, le=10)] = 1.0
    levels: tuple[Annotated[tuple[Annotated[float, Field(ge=0, le=1)], ...], Field(min_length=2)], ...] = ()
    translator: TranslatorSpec | None = None


class SegmenterSpec(BaseModel):
    """What a segmenter is: network, task, heads, intensity convention, working pixel size, decoder, provenance.

    Args:
        version: Version of this document.
        model: Name in the zoo.
        arguments: Arguments of the model, where they differ from its defaults.
        task: ``semantic`` or ``instances``.
        heads: What the network predicts for every pixel, in the order of its channels.
        classes: Number of classes with background; 2 for a binary mask.
        offsets: Of the affinities, (z, y, x) in working pixels and slices.
        channels: Channels of an image, 1 for grey.
        neighbours: How many neighbouring slices on either side are given beside the slice itself. The input's channels
            are ordered by slice, then by channel.
        intensity: How grey levels become 0..1.
        pixel_size_nm: Working pixel size; images are resampled to it. None where unknown: native pixels.
        input: What is done to images before the network sees them.
        decoder: How maps become labels; None for the default of the task.
        alternatives: Other decoders that were tuned for these weights, for whoever wants to compare.
        pretext: Of a network that has only been pre-trained, the pretext it learned: its output then is the image it
            repairs, one channel for each channel in, and not the heads. None for everything that segments.
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
    offsets: Annotated[tuple[Offset, ...], Field(max_length=256)] = ()
    channels: Annotated[int, Field(ge=1, le=256)] = 1
    neighbours: Annotated[int, Field(ge=0, le=64)] = 0
    intensity: Intensity = Intensity()
    pixel_size_nm: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    input: InputTransform = InputTransform()
    decoder: DecoderSpec | None = None
    alternatives: tuple[DecoderSpec, ...] = ()
    pretext: str | None = None
    weights: str = "random"
    provenance: PlainData = {}

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        for head in self.heads:
            if head not in HEADS:
                raise ValueError(f"{head!r} is not a head, one of {', '.join(HEADS)} was expected")
        if len(set(self.heads)) != len(self.heads):
            raise ValueError(f"a head is listed twice in {', '.join(self.heads)}")
        if ("affinities" in self.heads) != bool(self.offsets):
            raise ValueError("offsets belong to the head 'affinities', which needs at least one")
        levels = self.input.levels
        if levels and len(levels) != self.channels:
            raise ValueError(f"input: levels of {len(levels)} channels where an image has {self.channels}")
        if len({len(one) for one in levels}) > 1:
            raise ValueError("input: every channel needs as many levels as the others")
        return self

    @property
    def in_channels(self) -> int:
        """Channels of the network's input."""
        return self.channels * (2 * self.neighbours + 1)

    @property
    def layout(self) -> HeadLayout:
        """Which channels of the logits are whose."""
        return HeadLayout(self.heads, self.classes, self.offsets)

    @property
    def out_channels(self) -> int:
        """Channels of the output: those of the logits, summed over the heads, or of the image that is repaired."""
        return self.layout.channels if self.pretext is None else self.in_channels

    @property
    def pixels(self) -> str:
        """The working pixels in words."""
        return pixels_in_words(self.pixel_size_nm, self.input.zoom)

    def with_input(self, **changes: Any) -> Self:
        """The spec with other parts of its input transform."""
        return self.model_copy(update={"input": self.input.model_copy(update=changes)})

    @classmethod
    def from_document(cls, document: object, subject: Subject) -> Self:
        """The spec that a parsed YAML or JSON ``document`` holds.

        Args:
            document: What the parser returned.
            subject: The file, for messages.

        Raises:
            BadInput: It is no mapping, of a newer version, has unknown keys, lacks some, or has wrong values.
        """
        plain = versioned(document, "version", VERSION, subject, "the spec of a segmenter")
        try:
            return cls.model_validate(plain)
        except ValidationError as error:
            key, problem = explain(error)
            raise BadInput(subject, f"key {key!r}: {problem}", f"one of {', '.join(cls.model_fields)}") from None

    def to_document(self) -> dict[str, Any]:
        """The spec as plain data for YAML or JSON."""
        return self.model_dump(mode="json")
