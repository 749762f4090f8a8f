"""A network that changes the style of images before a segmenter sees them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from anyscope.models.entry import ModelEntry
from anyscope.models.nets import generators
from anyscope.models.spec import TranslatorSpec
from anyscope.registry import Registry
from anyscope.seeding import derive_seed

GENERATORS: Registry[ModelEntry] = Registry("generator")
"""Networks that make images of images; both are in -1..1."""

for _entry in generators.ENTRIES:
    GENERATORS.add(_entry.name, _entry)


class Translator(nn.Module):
    """Images in 0..1 of another style, of the same height and width.

    All channels of a slice go through the generator together, every slice on its own: a grey slice alone, three colours
    at once. The generator works in -1..1; what it makes is clamped to 0..1 again.

    Its strength is saved with the weights: 1, or 0 where images are left as they are. With 0 a segmenter that has a
    translator is the segmenter that it was before, so that the two can be compared as weights of one spec.

    Args:
        spec: Name and arguments of the generator.
        channels: Channels of a slice.

    Raises:
        BadInput: Unknown name or arguments.
    """

    strength: torch.Tensor

    def __init__(self, spec: TranslatorSpec, channels: int) -> None:
        super().__init__()
        entry = GENERATORS[spec.name]
        self.spec = spec
        self.channels = channels
        self.generator = entry.build(channels, channels, **spec.arguments)
        self.register_buffer("strength", torch.ones(()))
        self._stride = entry.stride(self.generator)
        self._smallest = entry.smallest

    @classmethod
    def build(cls, name: str, arguments: Mapping[str, Any], channels: int, seed: int) -> Translator:
        """A new one; one seed gives the same weights bit for bit, and global generators stay as they were."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(derive_seed(seed, "translator"))
            return cls(TranslatorSpec(name=name, arguments=dict(arguments)), channels)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Translate images [B, slices * channels, H, W], ordered by slice, then by channel.

        They are extended at the bottom and on the right to a size that the generator takes, repeating the last pixels,
        and cut back.
        """
        if self.strength == 0:
            return images
        height, width = images.shape[-2:]
        slices = images.reshape(-1, self.channels, height, width)
        padding = (0, self._missing(width), 0, self._missing(height))
        if any(padding):
            slices = nn.functional.pad(slices, padding, mode="replicate")
        made = self.generator(to_signed(slices))[..., :height, :width]
        return to_unit_range(made).reshape(images.shape)

    def _missing(self, length: int) -> int:
        wanted = max(length, self._smallest)
        return -(-wanted // self._stride) * self._stride - length


def to_signed(images: torch.Tensor) -> torch.Tensor:
    """0..1 as -1..1."""
    return 2 * images - 1


def to_unit_range(images: torch.Tensor) -> torch.Tensor:
    """-1..1 as 0..1, clamped."""
    return ((images + 1) / 2).clamp(0, 1)
