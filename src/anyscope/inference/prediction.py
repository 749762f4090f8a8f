"""Maps, labels and objects of an image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from anyscope.contracts import HEADS, Labels, Prediction, Unit
from anyscope.errors import BadInput, EnvironmentFault
from anyscope.images.resampling import LARGEST_SCALE, resample, resample_image, resample_labels
from anyscope.inference.activation import activate
from anyscope.inference.decoding import decoder_of
from anyscope.inference.memory import MemoryEstimate, estimate_memory
from anyscope.inference.network import Network, predicting
from anyscope.inference.orientations import ORIENTATIONS
from anyscope.inference.settings import InferenceSettings
from anyscope.inference.slices import slice_stack
from anyscope.inference.tiles import Layout, Tile, chunks, gaussian_weights
from anyscope.instances import Maps, foreground_probability, split_maps
from anyscope.models import SegmenterSpec

Advance = Callable[[int], object]
"""Told the number of slices just finished."""


def predict_maps(
    network: Network,
    image: Unit,
    pixel_size_nm: float | None = None,
    settings: InferenceSettings | None = None,
    advance: Advance | None = None,
) -> NDArray[np.float32]:
    """The activated maps of an image, at the image's own pixels.

    The image is resampled to the working pixel size of the network where both sizes are known, and the maps back; see
    :mod:`anyscope.images.resampling`. Test-time augmentation averages activated maps.

    Args:
        network: The segmenter; it is in evaluation mode meanwhile.
        image: (c, z, y, x) in 0..1, c the channels of the spec.
        pixel_size_nm: Pixel size in the plane, None where unknown.
        settings: How to go about it.
        advance: Called after every few slices with their number.

    Returns:
        float32 (K, z, y, x), K channels as :class:`anyscope.contracts.HeadLayout` orders them: sigmoid and softmax in
        0..1, tanh in -1..1.

    Raises:
        BadInput: The image does not fit the network, or the memory allowed does not suffice.
        EnvironmentFault: The device ran out of memory.
    """
    settings = settings or InferenceSettings()
    return _predict(network, image, pixel_size_nm, settings, advance)[0]


def _predict(
    network: Network,
    image: Unit,
    pixel_size_nm: float | None,
    settings: InferenceSettings,
    advance: Advance | None,
    *,
    at_working_pixels: bool = False,
    planes: tuple[int, int] | None = None,
) -> tuple[NDArray[np.float32], MemoryEstimate]:
    """The maps at the image's own pixels or at the working ones, and how they were made."""
    spec = network.spec
    channels, depth, height, width = _checked_shape(image, spec)
    check_augmentation(spec, settings)
    with predicting(network, settings.device) as device:
        plan = estimate_memory(network, (channels, depth, height, width), settings, pixel_size_nm)
        shape = plan.working_shape if at_working_pixels else (height, width)
        begin, end = (0, depth) if planes is None else planes
        maps = np.empty((spec.out_channels, end - begin, *shape), np.float32)
        for first in range(begin, end, plan.slices_at_once):
            last = min(end, first + plan.slices_at_once)
            stack = np.stack([slice_stack(image, z, spec.neighbours) for z in range(first, last)])
            slices = resample(torch.from_numpy(stack).to(device), plan.working_shape)
            try:
                found = _predict_slices(network, slices, plan.layout, settings)
            except torch.OutOfMemoryError:
                raise _out_of_memory(plan, device) from None
            maps[:, first - begin : last - begin] = resample(found, shape).cpu().numpy().swapaxes(0, 1)
            if advance is not None:
                advance(last - first)
    return maps, plan


def check_augmentation(spec: SegmenterSpec, settings: InferenceSettings) -> None:
    """Refuse test-time augmentation where a head changes when images turn.

    Raises:
        BadInput: There is such a head; the message names it.
    """
    directed = [head for head in spec.heads if HEADS[head].directed]
    if directed and settings.augmentation != "none":
        found = f"cannot be used with the head {directed[0]!r}, which changes when images turn"
        raise BadInput(f"test-time augmentation {settings.augmentation!r}", found, "none")


def segment(
    network: Network,
    image: Unit,
    pixel_size_nm: float | None = None,
    settings: InferenceSettings | None = None,
    advance: Advance | None = None,
) -> Prediction:
    """The labels of an image by the decoder of the network's spec, or by the default one for its task and heads.

    Arguments and errors as for :func:`predict_maps`. Labels are in the smallest unsigned type that holds them; the
    probability is that of the foreground, summed over all classes but the first.
    """
    found = decodable(network, image, pixel_size_nm, settings or InferenceSettings(), advance)
    return Prediction(found.labels(decoder_of(network.spec)), found.probability, found.notes)


@dataclass(frozen=True)
class Decodable:
    """The maps of an image where a decoder wants them.

    Args:
        maps: Activated maps by head, at the image's own pixels; at working pixels where offsets count these.
        shape: Height and width of the image.
        notes: Remarks for the user.
    """

    maps: Maps
    shape: tuple[int, int]
    notes: tuple[str, ...] = ()

    def labels(self, decoder: Callable[[Maps], Labels]) -> Labels:
        """Labels (z, y, x) at the image's own pixels."""
        return resample_labels(decoder(self.maps), self.shape)

    def crop(self, start: tuple[int, int], shape: tuple[int, int]) -> Decodable:
        """A part of it: (y, x) at the image's own pixels, all slices.

        Where the maps are at other pixels, they are cut at the nearest ones.
        """
        height, width = self.maps["mask"].shape[-2:]
        rows, columns = (
            slice(round(first * own / length), max(1, round((first + part) * own / length)))
            for first, part, length, own in zip(start, shape, self.shape, (height, width), strict=True)
        )
        return Decodable({head: values[..., rows, columns] for head, values in self.maps.items()}, shape, self.notes)

    @property
    def probability(self) -> NDArray[np.float32]:
        """Foreground probability (z, y, x) at the image's own pixels."""
        return resample_image(foreground_probability(self.maps), self.shape)


def decodable(
    network: Network,
    image: Unit,
    pixel_size_nm: float | None,
    settings: InferenceSettings,
    advance: Advance | None = None,
    planes: tuple[int, int] | None = None,
) -> Decodable:
    """Predict what a decoder reads. Arguments and errors as for :func:`predict_maps`.

    With ``planes`` only these slices (first, and last exclusive) are predicted; the others are neighbours.
    """
    spec = network.spec
    directed = any(HEADS[head].directed for head in spec.heads)
    values, plan = _predict(network, image, pixel_size_nm, settings, advance, at_working_pixels=directed, planes=planes)
    return Decodable(split_maps(values, spec.layout), (image.shape[-2], image.shape[-1]), _notes(plan))


@dataclass(frozen=True)
class TilingDifference:
    """By how much maps differ between tiled and untiled prediction.

    Args:
        maximum: Largest absolute difference of any value.
        mean: Mean absolute difference.
        tiles: Number of tiles of a slice.
    """

    maximum: float
    mean: float
    tiles: int


def tiling_difference(
    network: Network, image: Unit, pixel_size_nm: float | None = None, settings: InferenceSettings | None = None
) -> TilingDifference:
    """Predict an image as the settings say and in one piece, and compare.

    The image must be small enough for one piece. For convolutional networks the difference is rounding; for networks
    with statistics over the whole image it is what tiling costs.
    """
    settings = settings or InferenceSettings()
    larger_than_any = int(max(image.shape) * LARGEST_SCALE) + 1
    whole = settings.model_copy(update={"tile": larger_than_any, "halo": None})
    tiled, plan = _predict(network, image, pixel_size_nm, settings, None)
    difference = np.abs(tiled - predict_maps(network, image, pixel_size_nm, whole))
    tiles = len(plan.layout.tiles(plan.working_shape))
    return TilingDifference(float(difference.max(initial=0)), float(difference.mean()), tiles)


def _predict_slices(
    network: Network, slices: torch.Tensor, layout: Layout, settings: InferenceSettings
) -> torch.Tensor:
    """Maps [S, K, H, W] of slices [S, C, H, W], the mean over orientations."""
    orientations = ORIENTATIONS[settings.augmentation]
    total: torch.Tensor | None = None
    for orientation in orientations:
        turned = layout.exchanged() if orientation.exchange else layout
        maps = orientation.undo(_predict_tiles(network, orientation.apply(slices), turned))
        total = maps if total is None else total.add_(maps)
    if total is None:
        raise AssertionError("an augmentation has at least one orientation")
    return total.div_(len(orientations)) if len(orientations) > 1 else total


def _predict_tiles(network: Network, slices: torch.Tensor, layout: Layout) -> torch.Tensor:
    """Maps [S, K, H, W] of slices [S, C, H, W], tile by tile."""
    spec = network.spec
    shape = slices.shape[-2], slices.shape[-1]
    tiles = layout.tiles(shape)
    blend = len(tiles) > 1 and not layout.exact
    maps = slices.new_zeros((slices.shape[0], spec.out_channels, *shape))
    for numbers, parts in chunks(tiles, slices.shape[0], layout.batch):
        _predict_chunk(network, slices, maps, numbers, parts, blend=blend)
    if blend:
        maps /= _weight_sum(tiles, shape).to(maps)
    return maps


def _predict_chunk(
    network: Network, slices: torch.Tensor, maps: torch.Tensor, numbers: list[int], parts: list[Tile], *, blend: bool
) -> None:
    """Predict some tiles and put them into the maps.

    A function of its own, so that none of its tensors is alive beside the next forward pass.
    """
    spec = network.spec
    images = torch.stack([slices[z, :, part.y.read, part.x.read] for z, part in zip(numbers, parts, strict=True)])
    found = activate(network(images), spec.layout)
    weights = torch.from_numpy(gaussian_weights(parts[0].shape)).to(found) if blend else None
    for z, part, values in zip(numbers, parts, found, strict=True):
        if weights is None:
            maps[z, :, part.y.core, part.x.core] = values[:, part.y.inner, part.x.inner]
        else:
            maps[z, :, part.y.read, part.x.read] += values * weights


def _weight_sum(tiles: list[Tile], shape: tuple[int, int]) -> torch.Tensor:
    total = torch.zeros(shape)
    for tile in tiles:
        total[tile.y.read, tile.x.read] += torch.from_numpy(gaussian_weights(tile.shape))
    return total


def _checked_shape(image: Unit, spec: SegmenterSpec) -> tuple[int, int, int, int]:
    """The shape (c, z, y, x) of an image that fits the network."""
    if image.ndim != 4 or 0 in image.shape:
        raise BadInput("image", f"shape {image.shape}", "axes (channel, z, y, x), none of them empty")
    if image.shape[0] != spec.channels:
        found, expected = f"{image.shape[0]} channels", f"{spec.channels}, what the network was trained on"
        raise BadInput("image", found, expected, "choose a channel, or grey, with --channel")
    if image.dtype != np.float32:
        raise BadInput("image", f"{image.dtype} values", "float32 in 0..1")
    channels, depth, height, width = image.shape
    return channels, depth, height, width


def _notes(plan: MemoryEstimate) -> tuple[str, ...]:
    notes = [plan.resampling.note] if plan.resampling.note else []
    if not plan.layout.exact:
        notes.append(f"{plan.layout.describe(plan.working_shape)}: the network sees the whole image, tiling changes it")
    return tuple(notes)


def _out_of_memory(plan: MemoryEstimate, device: torch.device) -> EnvironmentFault:
    found = f"out of memory where {plan.forward / 2**30:.2f} GiB were expected for a forward pass"
    return EnvironmentFault(f"device {device}", found, remedy="allow less with --memory, so that tiles become smaller")
