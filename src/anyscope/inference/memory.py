"""How a prediction is laid out in memory: the largest tiles that fit, and what they will need."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from anyscope.errors import BadInput
from anyscope.images.resampling import Resampling, resampling_for
from anyscope.inference.footprint import forward_bytes, free_bytes
from anyscope.inference.network import Network, device_of
from anyscope.inference.settings import InferenceSettings
from anyscope.inference.tiles import Layout, round_up

Needs = Callable[[tuple[int, int]], int]
_FLOAT = 4
_BLENDED_HALO = 1 / 8
"""Halo of a network without a sufficient one, as a part of the tile: tiles overlap by a quarter."""


@dataclass(frozen=True)
class MemoryEstimate:
    """What a prediction needs, in bytes, and how it is tiled.

    Args:
        image: The image itself (c, z, y, x).
        maps: All maps of the result (K, z, y, x).
        slices: The slices in work, with their maps, at working pixels.
        forward: One forward pass; see :func:`anyscope.inference.footprint.forward_bytes`.
        working_shape: Height and width at working pixels.
        layout: The tiling.
        slices_at_once: How many slices are in work at a time.
        resampling: How working pixels are made.
    """

    image: int
    maps: int
    slices: int
    forward: int
    working_shape: tuple[int, int]
    layout: Layout
    slices_at_once: int
    resampling: Resampling

    @property
    def total(self) -> int:
        """All of it."""
        return self.image + self.maps + self.slices + self.forward

    def describe(self) -> str:
        """One line for the user."""
        height, width = self.working_shape
        tiling = self.layout.describe(self.working_shape)
        return f"about {self.total / 2**30:.2f} GiB for {height} x {width} working pixels, {tiling}"


def estimate_memory(
    network: Network,
    shape: tuple[int, int, int, int],
    settings: InferenceSettings,
    pixel_size_nm: float | None = None,
) -> MemoryEstimate:
    """Lay out the prediction of an image and estimate its memory, before anything is allocated.

    Args:
        network: The segmenter.
        shape: Shape of the image (c, z, y, x).
        settings: Tile, halo, batch and the bound on memory.
        pixel_size_nm: Pixel size of the image in its plane, None where unknown.

    Raises:
        BadInput: The bound is too low for the smallest tile, or a given tile is too small for its halo.
    """
    spec = network.spec
    resampling = resampling_for(pixel_size_nm, spec.pixel_size_nm, spec.input.zoom)
    channels, depth, height, width = shape
    working = resampling.working_shape((height, width))
    image = _FLOAT * channels * depth * height * width
    maps = _FLOAT * spec.out_channels * depth * height * width
    # A slice in work: its input and that at own pixels, its maps summed over tiles and over orientations and weights.
    own, work = height * width, working[0] * working[1]
    per_slice = _FLOAT * (spec.in_channels * (own + work) + spec.out_channels * (own + 2 * work) + work)
    if settings.memory_bytes is None:
        budget = free_bytes(device_of(network)) // 2 - maps
    else:
        budget = settings.memory_bytes - image - maps
    layout = _lay_out(network, working, depth, settings, budget, per_slice)
    untiled = len(layout.tiles(working)) == 1
    slices_at_once = layout.batch if untiled else 1
    batch = min(layout.batch, slices_at_once * len(layout.tiles(working)))
    forward = forward_bytes(network, (batch, spec.in_channels, *_largest(layout, working)))
    return MemoryEstimate(image, maps, slices_at_once * per_slice, forward, working, layout, slices_at_once, resampling)


def _largest(layout: Layout, working: tuple[int, int]) -> tuple[int, int]:
    height, width = (
        min(tile, round_up(length, layout.stride)) for tile, length in zip(layout.tile, working, strict=True)
    )
    return height, width


def _lay_out(
    network: Network, working: tuple[int, int], depth: int, settings: InferenceSettings, budget: int, per_slice: int
) -> Layout:
    """The layout of slices of a shape within a budget for slices in work and forward pass."""
    stride, channels = network.stride, network.spec.in_channels
    whole = round_up(working[0], stride), round_up(working[1], stride)

    def needs(shape: tuple[int, int]) -> int:
        return forward_bytes(network, (1, channels, *shape))

    if settings.tile is not None:
        side = round_up(settings.tile, stride)
        tile = min(side, whole[0]), min(side, whole[1])
    elif needs(whole) + per_slice <= budget:
        tile = whole
    else:
        tile = _fit(whole, stride, needs, budget - per_slice)
    # Finding the receptive field takes a moment, and one tile needs no halo.
    halo, exact = (0, True) if tile == whole else _halo(network, tile, settings)
    layout = Layout(tile, halo, stride, 1, exact)
    return _batched(layout, working, depth, settings, budget, per_slice, needs(tile))


def _batched(
    layout: Layout,
    working: tuple[int, int],
    depth: int,
    settings: InferenceSettings,
    budget: int,
    per_slice: int,
    forward: int,
) -> Layout:
    """The layout with as many tiles at once as were allowed, exist and fit."""
    count = len(layout.tiles(working))
    if count == 1:
        existing, room = depth, budget // max(1, forward + per_slice)
    else:
        existing, room = count, (budget - per_slice) // max(1, forward)
    batch = max(1, min(settings.batch, existing, room))
    return Layout(layout.tile, layout.halo, layout.stride, batch, layout.exact)


def _halo(network: Network, tile: tuple[int, int], settings: InferenceSettings) -> tuple[int, bool]:
    """The halo for a tile, and whether it makes cores exact."""
    field, stride = network.receptive_field(), network.stride
    needed = None if field is None else round_up(field // 2, stride)
    if settings.halo is not None:
        halo = round_up(settings.halo, stride)
    elif needed is not None:
        halo = needed
    else:
        halo = max(stride, int(min(tile) * _BLENDED_HALO) // stride * stride)
    return halo, needed is not None and halo >= needed


def _fit(whole: tuple[int, int], stride: int, needs: Needs, budget: int) -> tuple[int, int]:
    """The largest tile, about square, whose forward pass stays within the budget."""
    low, high = 1, max(whole) // stride  # sides in strides: low is assumed to fit, high does not
    while high - low > 1:
        middle = (low + high) // 2
        shape = min(middle * stride, whole[0]), min(middle * stride, whole[1])
        low, high = (middle, high) if needs(shape) <= budget else (low, middle)
    tile = min(low * stride, whole[0]), min(low * stride, whole[1])
    if needs(tile) > budget:
        found = f"{max(0, budget) / 2**20:.3g} MiB left for a forward pass"
        raise BadInput("memory", found, f"at least {math.ceil(needs(tile) / 2**20)} MiB", "allow more memory")
    return tile
