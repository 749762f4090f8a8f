"""What somebody else's model is, in words of its user: the document ``anyscope-model.yaml``."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from anyscope.contracts import HEADS, Offset, Task
from anyscope.errors import BadInput, Subject
from anyscope.images import Intensity
from anyscope.models.spec import DecoderSpec, InputTransform, SegmenterSpec
from anyscope.running.documents import explain, versioned

FILE = "anyscope-model.yaml"
VERSION = 1
"""Version of the document. It rises when an older anyscope would misread it."""

ENTRY = re.compile(r"(?P<module>[A-Za-z_]\w*(\.[A-Za-z_]\w*)*):(?P<name>[A-Za-z_]\w*)\Z")
"""A Python entry point, ``package.module:name``."""

_PLACEHOLDER = re.compile(r"\{(\w*)\}")


def _intensity(value: Any) -> Any:
    return Intensity.parse(value) if isinstance(value, str) else value


IntensityText = Annotated[Intensity, BeforeValidator(_intensity)]


class ForeignFile(BaseModel):
    """What holds for every kind of foreign model.

    Args:
        anyscope_model: Version of this document.
        name: What it is called in reports; the name of its file or folder where left out.
        task: ``semantic``: a mask or classes; ``instances``: objects.
        classes: Number of classes with background; 2 for a mask.
        channels: Channels of an image, 1 for grey.
        intensity: How grey levels become 0..1, such as ``percentiles:0.1,99.9``, ``dtype`` or ``fixed:0,4095``.
        pixel_size_nm: Working pixel size: images are brought to it; None for their own pixels.
        zoom: Working pixels for each nominal working pixel.
        threshold: Probability above which a pixel is foreground.
        provenance: Where it comes from; plain data for the reader.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    anyscope_model: Annotated[int, Field(ge=1, le=VERSION)] = VERSION
    name: str | None = None
    task: Task = "semantic"
    classes: Annotated[int, Field(ge=2, le=1024)] = 2
    channels: Annotated[int, Field(ge=1, le=256)] = 1
    intensity: IntensityText = Intensity()
    pixel_size_nm: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    zoom: Annotated[float, Field(ge=0.1, le=10)] = 1.0
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    provenance: dict[str, Any] = {}

    @property
    def spec(self) -> SegmenterSpec:
        """What it is shown and what it says, as segmenters state it."""
        return SegmenterSpec(
            model=str(getattr(self, "kind", "foreign")),
            task=self.task,
            classes=self.classes,
            channels=self.channels,
            intensity=self.intensity,
            pixel_size_nm=self.pixel_size_nm,
            input=InputTransform(zoom=self.zoom),
            weights="another project's",
            **self._of_maps(),
        )

    def _of_maps(self) -> dict[str, Any]:
        return {}


class NetworkFile(ForeignFile):
    """A network in a file: images [B, C, H, W] in, maps [B, K, H, W] out, float32.

    Args:
        kind: ``onnx``, ``torchscript``, ``openvino``, ``module`` (a torch module by its Python entry point) or
            ``bioimage`` (a package of the BioImage Model Zoo).
        path: The file or folder, relative to this document and within its folder; or ``package.module:name``.
        sha256: Of the file; it is checked where given.
        heads: What the channels of its output say, in their order; see :data:`anyscope.contracts.HEADS`.
        offsets: Of the affinities, (z, y, x) in working pixels.
        neighbours: How many neighbouring slices on either side it is given as further channels.
        value_range: What the network wants to be given for black and for white (0 and 1 of the intensity convention).
        output: Whether its output is logits or has been activated.
        activation: Of the mask: ``sigmoid``, one channel; ``softmax``, one channel for every class, background first.
        output_channels: Which of its channels are used, in the order of the heads; all where left out.
        decoder: How maps become labels; by default the one for task and heads.
        stride: Heights and widths must be multiples of it; images are extended to that by repeating their last pixels.
        smallest: The least height and width.
        size: The one height and width that it can take; None where any will do.
        receptive_field: How wide the region is that can change a pixel of the output; with it, tiles can be exact.
        tile: Largest height and width that it is given at once.
    """

    kind: Literal["onnx", "torchscript", "openvino", "module", "bioimage"]
    path: str
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    heads: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    offsets: Annotated[tuple[Offset, ...], Field(max_length=256)] = ()
    neighbours: Annotated[int, Field(ge=0, le=64)] = 0
    value_range: tuple[float, float] = (0.0, 1.0)
    output: Literal["logits", "probabilities"] = "logits"
    activation: Literal["sigmoid", "softmax"] | None = None
    output_channels: tuple[Annotated[int, Field(ge=0, le=4095)], ...] | None = None
    decoder: DecoderSpec | None = None
    stride: Annotated[int, Field(ge=1, le=4096)] = 1
    smallest: Annotated[int, Field(ge=1, le=4096)] = 1
    size: Annotated[int, Field(ge=1, le=65536)] | None = None
    receptive_field: Annotated[int, Field(ge=1)] | None = None
    tile: Annotated[int, Field(ge=16, le=65536)] = 1024

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for head in self.heads or ():
            if head not in HEADS:
                raise ValueError(f"{head!r} is no head, one of {', '.join(HEADS)} was expected")
        if self.heads is not None and "mask" not in self.heads:
            raise ValueError("the heads hold no mask, from which everything is scored")
        if self.kind == "module" and not ENTRY.match(self.path):
            raise ValueError(f"path {self.path!r} is no entry point such as package.module:name")
        if self.decoder is not None and self.threshold != 0.5:
            raise ValueError("threshold and decoder exclude each other: the decoder has one of its own")
        if self.value_range[0] == self.value_range[1]:
            raise ValueError("value_range needs two different numbers")
        return self

    @property
    def softmax(self) -> bool:
        """Whether the classes of the mask share one softmax."""
        return self.classes > 2 if self.activation is None else self.activation == "softmax"

    def _of_maps(self) -> dict[str, Any]:
        decoder = self.decoder
        if decoder is None and self.task == "semantic":
            decoder = DecoderSpec(name="threshold", parameters={"threshold": self.threshold})
        heads = self.heads or ("mask",)
        return {"heads": heads, "offsets": self.offsets, "neighbours": self.neighbours, "decoder": decoder}


class FunctionFile(ForeignFile):
    """A Python function: an image in, a mask or a label image out.

    Args:
        kind: ``python``.
        path: ``package.module:function``; looked for beside this document too.
        axes: What the function is given: ``yx`` plane by plane, or ``cyx``, ``zyx``, ``czyx``; float32 in 0..1.
    """

    kind: Literal["python"]
    path: str
    axes: Literal["yx", "cyx", "zyx", "czyx"] = "yx"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not ENTRY.match(self.path):
            raise ValueError(f"path {self.path!r} is no entry point such as package.module:function")
        if "c" not in self.axes and self.channels != 1:
            raise ValueError(f"axes {self.axes} have no place for {self.channels} channels")
        return self


class CommandFile(ForeignFile):
    """A program that reads an image file and writes a mask or label file. No shell is involved.

    Args:
        kind: ``command``.
        command: The program and its arguments; ``{input}`` and ``{output}`` stand for the two files, and
            ``{folder}`` for the folder of this document, where the program is started.
        format: Suffix of the image file: ``.tif``, ``.png``, ``.h5``, ``.mrc``.
        output_format: Suffix of the file it writes; that of the image where left out.
        dtype: Of the image's pixels: float32 in 0..1, or the whole range of uint8 or uint16.
        axes: What a file holds: ``yx`` one plane, ``zyx`` the stack.
        timeout_s: When it is ended.
        environment: Further variables of its environment.
    """

    kind: Literal["command"]
    command: Annotated[tuple[str, ...], Field(min_length=1)]
    format: Literal[".tif", ".png", ".h5", ".mrc"] = ".tif"
    output_format: Literal[".tif", ".png", ".h5", ".mrc"] | None = None
    dtype: Literal["float32", "uint8", "uint16"] = "uint8"
    axes: Literal["yx", "zyx"] = "yx"
    timeout_s: Annotated[float, Field(gt=0, le=86_400)] = 300.0
    environment: dict[Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")], str] = {}

    @model_validator(mode="before")
    @classmethod
    def _split(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("command"), str):
            return {**data, "command": tuple(shlex.split(data["command"]))}
        return data

    @model_validator(mode="after")
    def _fits(self) -> Self:
        names = [name for word in self.command for name in _PLACEHOLDER.findall(word)]
        for wanted in ("input", "output"):
            if wanted not in names:
                raise ValueError(f"the command does not say where {{{wanted}}} goes")
        for name in names:
            if name not in ("input", "output", "folder"):
                raise ValueError(f"{{{name}}} stands for nothing, only {{input}}, {{output}} and {{folder}} do")
        if self.format == ".png" and (self.dtype == "float32" or self.axes == "zyx"):
            raise ValueError("a PNG holds one plane of uint8 or uint16")
        return self

    def arguments(self, **files: Path) -> list[str]:
        """The program and its arguments, with the files in their places."""
        return [_PLACEHOLDER.sub(lambda match: str(files[match[1]]), word) for word in self.command]


AnyFile = Annotated[NetworkFile | FunctionFile | CommandFile, Field(discriminator="kind")]
_ANY: TypeAdapter[NetworkFile | FunctionFile | CommandFile] = TypeAdapter(AnyFile)


def parse_description(document: object, subject: Subject) -> NetworkFile | FunctionFile | CommandFile:
    """The description that a parsed YAML document holds.

    Args:
        document: What the parser returned.
        subject: The file, for messages.

    Raises:
        BadInput: It is no mapping, of a newer version, has unknown keys, lacks some, or has wrong values.
    """
    plain = versioned(document, "anyscope_model", VERSION, subject, "the description of a model")
    try:
        return _ANY.validate_python(plain)
    except ValidationError as error:
        key, problem = explain(error)
        kinds = "onnx, torchscript, openvino, module, bioimage, python or command"
        raise BadInput(subject, f"key {key!r}: {problem}", f"a description of a model whose kind is {kinds}") from None
