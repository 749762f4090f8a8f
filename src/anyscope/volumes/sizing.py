"""How large blocks are: as few pixels predicted twice as the memory of a worker allows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

from anyscope.errors import BadInput
from anyscope.images import Image
from anyscope.images.resampling import resampling_for
from anyscope.inference import InferenceSettings, Network, estimate_memory
from anyscope.inference.tiles import round_up
from anyscope.volumes.decoding import BlockDecoding
from anyscope.volumes.grid import BlockGrid, Lattice, Triple

DEFAULT_MEMORY = 4 << 30
"""Of a worker, where nothing was said. Not what is free: blocks should not depend on what else runs."""
PROCESS_BYTES = 640 << 20
"""What a process with torch takes before it does anything, and the pass that writes needs beside it."""
_BLENDED_HALO_PX = 64
"""Context of a network that no context suffices for."""
_LARGEST_CORE = 1 << 26
"""Voxels; larger blocks save little, and lose more when one is lost."""
_SIDES = tuple(64 << power for power in range(8))
_DEPTHS = tuple(1 << power for power in range(10))
_FLOAT = 4


@dataclass(frozen=True)
class Sizing:
    """A grid and what it costs.

    Args:
        grid: The blocks.
        memory: Bytes of a worker at its peak.
        network: Bytes of these that inference may use within a block.
        predicted: Pixels that the network is shown, of the volume's own size.
        exact: Whether context makes blocks equal to the whole.
    """

    grid: BlockGrid
    memory: int
    network: int
    predicted: int
    exact: bool

    def describe(self) -> str:
        """Blocks, their size and context, and what memory they need."""
        grid = self.grid
        core, overlap, context = (
            " x ".join(str(length) for length in each)
            for each in (_least(grid.core, grid.shape), grid.overlap, grid.context)
        )
        extra = self.predicted / (grid.shape[0] * grid.shape[1] * grid.shape[2]) - 1
        return (
            f"{len(grid)} blocks of {core}, overlap {overlap}, context {context} (z, y, x), {extra:.0%} more pixels, "
            f"about {self.memory / 2**30:.2f} GiB for each worker"
        )


def size_blocks(
    network: Network,
    image: Image,
    decoding: BlockDecoding,
    settings: InferenceSettings,
    *,
    pixel_size_nm: float | None,
    memory: int | None = None,
    overlap: Triple | None = None,
    core: Triple | None = None,
) -> Sizing:
    """The blocks for a volume.

    Args:
        network: The segmenter.
        image: The volume.
        decoding: What is done with maps.
        settings: Tile, halo and augmentation.
        pixel_size_nm: In the plane, None where unknown.
        memory: Bytes that a worker may use in all; :data:`DEFAULT_MEMORY` where None.
        overlap: How far blocks decode beyond their cores, where the default does not do.
        core: The core of a block, where it shall not follow from memory.

    Raises:
        BadInput: Too little memory for the smallest block.
    """
    memory = memory or DEFAULT_MEMORY
    shape = image.shape[1], image.shape[2], image.shape[3]
    context, lattices, exact = _context(network, shape, settings, pixel_size_nm)
    overlap = decoding.default_overlap if overlap is None or decoding.joining != "overlap" else overlap
    costs = _Costs(network, image, decoding, settings, pixel_size_nm)
    best: tuple[tuple[int, int], Sizing] | None = None
    smallest: int | None = None
    for one in [core] if core is not None else _cores(shape):
        grid = BlockGrid(shape, _least(one, shape), overlap, context, lattices)
        rank = (grid.predicted(), len(grid))
        if best is not None and rank >= best[0]:
            continue
        needed = costs.block(grid)
        found = costs.total(grid, needed, memory)
        if found is None:
            smallest = min(smallest or needed, needed)
        else:
            best = rank, Sizing(grid, *found, rank[0], exact)
    if best is None:
        found_text = f"{memory / 2**20:.0f} MiB for a worker"
        least = 1.2 * (PROCESS_BYTES + (smallest or 0)) / 2**20
        raise BadInput("--memory", found_text, f"at least {least:.0f} MiB", "allow more memory")
    return best[1]


def _least(core: Triple, shape: Triple) -> Triple:
    z, y, x = (min(length, whole) for length, whole in zip(core, shape, strict=True))
    return z, y, x


def _cores(shape: Triple) -> Iterator[Triple]:
    for depth in _DEPTHS:
        for side in _SIDES:
            if depth * min(side, shape[1]) * min(side, shape[2]) <= _LARGEST_CORE:
                yield depth, side, side
            if side >= max(shape[1:]):
                break
        if depth >= shape[0]:
            return


def _context(
    network: Network, shape: Triple, settings: InferenceSettings, pixel_size_nm: float | None
) -> tuple[Triple, tuple[Lattice, Lattice], bool]:
    """What is read around a block, where reading may start, and whether that makes it equal to the whole."""
    spec = network.spec
    resampling = resampling_for(pixel_size_nm, spec.pixel_size_nm, spec.input.zoom)
    height, width = resampling.working_shape((shape[1], shape[2]))
    scales = (1.0, 1.0) if resampling.scale == 1 else (height / shape[1], width / shape[2])
    field, stride = network.receptive_field(), network.stride
    needed = None if field is None else round_up(field // 2, stride)
    halo = round_up(settings.halo, stride) if settings.halo is not None else needed
    exact = needed is not None and halo is not None and halo >= needed and resampling.scale == 1
    reach = _BLENDED_HALO_PX if halo is None else halo
    # Where pixels are resampled, a working pixel is made of a few of the image's own.
    y, x = (reach if scale == 1 else ceil(reach / scale) + 2 * ceil(1 / min(1.0, scale)) for scale in scales)
    return (spec.neighbours, y, x), (Lattice(stride, scales[0]), Lattice(stride, scales[1])), exact


@dataclass(frozen=True)
class _Costs:
    """What a block needs, in bytes."""

    network: Network
    image: Image
    decoding: BlockDecoding
    settings: InferenceSettings
    pixel_size_nm: float | None

    def block(self, grid: BlockGrid) -> int:
        """All but the forward pass: the image as stored and as floats, maps, labels, what the decoder works with."""
        z, y, x = grid.largest_read()
        depth, height, width = (
            min(length, core + 2 * by) for length, core, by in zip(grid.shape, grid.core, grid.overlap, strict=True)
        )
        decoded, read = depth * height * width, z * y * x
        channels, heads = self.image.shape[0], self.network.spec.out_channels
        stored = 2 * channels * self.image.dtype.itemsize * read  # the next block is read meanwhile
        return (
            stored + _FLOAT * channels * read + _FLOAT * heads * depth * y * x + self._decoding_bytes(heads) * decoded
        )

    def total(self, grid: BlockGrid, needed: int, memory: int) -> tuple[int, int] | None:
        """Everything, and what inference may use, with the largest forward pass that fits; None where none does."""
        left = memory - PROCESS_BYTES - needed
        if left <= 0:
            return None
        z, y, x = grid.largest_read()
        own = _FLOAT * (self.image.shape[0] + self.network.spec.out_channels) * z * y * x  # counted by both
        settings = self.settings.model_copy(update={"memory_bytes": left + own})
        try:
            plan = estimate_memory(self.network, (self.image.shape[0], z, y, x), settings, self.pixel_size_nm)
        except BadInput:
            return None
        total = PROCESS_BYTES + needed + plan.slices + plan.forward
        return (total, left + own) if total <= memory else None

    def _decoding_bytes(self, heads: int) -> int:
        """For each decoded voxel: labels and what is made on the way to them."""
        name = self.decoding.decoder.name
        work = {"threshold": 2, "components": 14, "peaks": 48, "watershed": 40, "agglomeration": 60 + 8 * heads}
        return 6 + work.get(name, 24 + 24 * heads)
