"""What of a decoder is done in blocks, and how objects of blocks become those of the volume."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from anyscope.contracts import Task
from anyscope.instances import Components, Decoding, Linker
from anyscope.instances.decoders import Decoder
from anyscope.instances.decoders.finishing import ObjectParameters
from anyscope.volumes.grid import Triple

Joining = Literal["nothing", "touching", "overlap"]

IN_PLANE_OVERLAP_PX = 32
"""Overlap within slices by default; along z it is the same length, by the anisotropy of the decoder."""
LEAST_IOU = 0.5
"""Objects of two blocks are one where they share more than this of their union in the region that both decode."""


@dataclass(frozen=True)
class BlockDecoding:
    """A decoder, for blocks.

    Args:
        decoder: What is done in a block.
        joining: ``nothing`` for masks and classes. ``touching`` where voxels of one object on both sides of a face make
            one object, which is exact: plain connected components. ``overlap`` where objects are recognised by their
            IoU in the overlap of two blocks: all others, whose objects depend on what is around them.
        dimensions: 2 where ids count by slice: blocks are then joined within slices only.
        connectivity: For ``touching``, as that of connected components.
        min_size_px: Objects of the volume with fewer pixels are removed; 1 keeps all.
        linker: Links the objects of slices, once these are known.
    """

    decoder: Decoder
    joining: Joining
    dimensions: int = 3
    connectivity: int = 1
    min_size_px: int = 1
    linker: Linker | None = None

    @property
    def default_overlap(self) -> Triple:
        """How far blocks decode beyond their cores where nothing was said, (z, y, x)."""
        if self.joining != "overlap":
            return (0, 0, 0)
        anisotropy = float(getattr(self.decoder, "anisotropy", 1.0))
        deep = 0 if self.dimensions == 2 else max(2, round(IN_PLANE_OVERLAP_PX / anisotropy))
        return min(deep, IN_PLANE_OVERLAP_PX), IN_PLANE_OVERLAP_PX, IN_PLANE_OVERLAP_PX

    def describe(self) -> str:
        """How blocks are joined, in words."""
        words = {
            "nothing": "blocks need no joining",
            "touching": "objects that touch across faces are one",
            "overlap": f"objects of two blocks are one above an IoU of {LEAST_IOU:g} where both see enough",
        }
        return words[self.joining]


def for_blocks(decoding: Decoding, task: Task) -> BlockDecoding:
    """The parts of a decoding.

    Removing small objects waits until objects are whole, unless something is done after it in the decoder (filling
    holes, growing, or merging small objects into their neighbours).
    """
    decoder: Any = decoding.decoder
    if task == "semantic" or not isinstance(decoder, ObjectParameters):
        return BlockDecoding(decoder, "nothing")
    removes = decoder.small == "remove" and not decoder.fill_holes and decoder.grow == "none"
    changes: dict[str, Any] = {"min_size_px": 0} if removes else {}
    plain = isinstance(decoder, Components) and decoder.interior is None and removes
    within: Any = replace(decoder, **changes)
    return BlockDecoding(
        within,
        "touching" if plain else "overlap",
        decoder.dimensions,
        decoder.connectivity if isinstance(decoder, Components) else 1,
        max(1, decoder.min_size_px) if removes else 1,
        decoding.linker,
    )
