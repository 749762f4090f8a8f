"""What a corruption is: frozen parameters and a stateless call on batches of images in 0..1."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import ClassVar, Literal, Self

import torch

from anyscope.errors import BadInput
from anyscope.microscope import Camera, Optics

Family = Literal["fluorescence", "electron", "digital"]
SEVERITIES = (1, 2, 3, 4, 5)
Levels = Mapping[str, tuple[float, float, float, float, float]]
"""Values of every parameter at severities 1 to 5."""


@dataclass(frozen=True, eq=False)
class Acquisition:
    """How a batch of fluorescence images was taken: what corruptions before the digitisation start from.

    Args:
        photons: Expected photons of every pixel [B, C, Z, H, W] after the reference optics, background included.
        exact: Whether ``photons`` is the noise-free truth of a synthetic image. Otherwise it is the real image read as
            photons, noise and all, and a corruption *adds* to what is there already.
        foreground: Exact mask [B, Z, H, W] of the objects, where labels are known.
        optics: The optics that made the image, and the size of a pixel.
        camera: The camera. Where the image is not exact, its noise is in the image already.
        low, high: Digital numbers [B] that became 0 and 1.
    """

    photons: torch.Tensor
    exact: bool
    foreground: torch.Tensor | None
    optics: Optics
    camera: Camera
    low: torch.Tensor
    high: torch.Tensor


@dataclass(frozen=True, eq=False)
class Corrupted:
    """What became of a batch.

    Args:
        images: [B, C, Z, H, W] float32. In 0..1, except where the corruption is a ``new_exposure``: there values are on
            the scale of the uncorrupted image and may leave it.
        field: Displacement [B, 2, Z, H, W] in pixels (dy, dx), None where nothing moved: the pixel at (y, x) shows what
            was at (y + dy, x + dx). Labels follow it with :func:`anyscope.corruptions.warping.warp_labels`.
        valid: Mask [B, Z, H, W] of pixels that still show the specimen, None for all. The others are not scored.
    """

    images: torch.Tensor
    field: torch.Tensor | None = None
    valid: torch.Tensor | None = None


class Corruption(ABC):
    """A way in which images become worse. Subclasses are frozen dataclasses whose fields are its parameters."""

    name: ClassVar[str]
    family: ClassVar[Family]
    summary: ClassVar[str]
    """What happens to the image, in one line."""
    source: ClassVar[str]
    """Where the model and its levels come from; "ours" where they are our choice."""
    levels: ClassVar[Levels]
    """The parameters at severities 1 to 5."""
    along_stack: ClassVar[bool] = False
    """Whether the planes of a stack are corrupted together; otherwise each is corrupted as if it were alone."""
    new_exposure: ClassVar[bool] = False
    """Whether the result is another exposure, of which the range of grey levels is taken anew where the intensity
    convention takes it from the image."""

    @classmethod
    def at(cls, severity: int) -> Self:
        """The corruption at a severity of 1 to 5."""
        if severity not in SEVERITIES:
            raise BadInput(f"severity {severity!r}", "no such severity", "1, 2, 3, 4 or 5")
        return cls(**{name: values[severity - 1] for name, values in cls.levels.items()})

    def __call__(self, images: torch.Tensor, seeds: Sequence[int], acquisition: Acquisition | None = None) -> Corrupted:  # noqa: ARG002
        """Corrupt a batch.

        Args:
            images: [B, C, Z, H, W] float32 in 0..1; left as it is.
            seeds: One for each image. What happens to an image depends on its seed alone, not on the batch around it.
            acquisition: How fluorescence images were taken; others take no notice. Without it the corruption assumes
                what its docstring says.
        """
        return self.corrupt(images, seeds)

    @abstractmethod
    def corrupt(self, images: torch.Tensor, seeds: Sequence[int]) -> Corrupted:
        """The same, of images of which nothing else is known."""

    def parameters(self) -> dict[str, float]:
        """The parameters by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
