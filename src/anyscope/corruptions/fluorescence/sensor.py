"""The camera of :mod:`anyscope.microscope.camera` for batches of tensors: expected photons to digital numbers."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from anyscope.corruptions.corruption import Acquisition
from anyscope.corruptions.counting import poisson_numbers
from anyscope.corruptions.fluorescence.acquisition import to_scale
from anyscope.microscope import Camera
from anyscope.microscope.camera import sensor_maps
from anyscope.seeding import torch_generator


def expose(
    acquisition: Acquisition,
    seeds: Sequence[int],
    photons: torch.Tensor | None = None,
    camera: Camera | None = None,
    excess: float = 1.0,
) -> torch.Tensor:
    """Take the images of an exact acquisition once more.

    Args:
        acquisition: How they were taken.
        seeds: One for each image; they set the noise.
        photons: Expected photons [B, C, Z, H, W], if something happened to them on the way.
        camera: Another camera.
        excess: See :func:`take_images`.

    Returns:
        [B, C, Z, H, W] float32 on the scale of the images, where 0 and 1 are the digital numbers ``low`` and ``high``
        of the acquisition; values may lie beyond.
    """
    light = acquisition.photons if photons is None else photons
    return to_scale(take_images(camera or acquisition.camera, light, seeds, excess), acquisition)


def take_images(
    camera: Camera, photons: torch.Tensor, seeds: Sequence[int], excess: float = 1.0, binning: int = 1
) -> torch.Tensor:
    """Noisy images of expected photons, with the noise of :func:`anyscope.microscope.camera.take_image` in its order.

    Args:
        camera: Parameters. If it bins, the light of an image pixel is spread evenly over its sensor pixels.
        photons: Expected photons [B, C, Z, H, W] of every image pixel.
        seeds: One for each image; they set the noise. The maps of an sCMOS depend on ``camera.sensor_id`` instead.
        excess: Variance of the electrons over that of their number, by a multiplication with Gamma-distributed gain.
        binning: Image pixels along one side of a binned one; it divides H and W.

    Returns:
        Digital numbers [B, C, Z, H / binning, W / binning] float32.
    """
    taken = [
        _take(camera, light, torch_generator(seed, "corruption", "camera", device=str(light.device)), excess, binning)
        for light, seed in zip(photons, seeds, strict=True)
    ]
    return torch.stack(taken)


def multiply(electrons: torch.Tensor, excess: float, random: torch.Generator) -> torch.Tensor:
    """Electrons of unchanged mean whose variance grows by ``excess - 1`` for each: Gamma(electrons / x) x.

    With ``excess`` 2 that is an EMCCD of high gain (doi 10.1371/journal.pone.0053671), relative to its gain.
    """
    if excess <= 1:
        return electrons
    return (excess - 1) * _gamma(electrons / (excess - 1), random)


def sum_blocks(values: torch.Tensor, side: int) -> torch.Tensor:
    """Sums of ``side`` x ``side`` pixels of [..., H, W]."""
    if side == 1:
        return values
    height, width = values.shape[-2:]
    return values.reshape(*values.shape[:-2], height // side, side, width // side, side).sum(dim=(-3, -1))


def spread_blocks(values: torch.Tensor, side: int) -> torch.Tensor:
    """Every pixel of [..., H, W] repeated ``side`` x ``side`` times."""
    return values.repeat_interleave(side, dim=-2).repeat_interleave(side, dim=-1) if side > 1 else values


def _take(camera: Camera, light: torch.Tensor, random: torch.Generator, excess: float, binning: int) -> torch.Tensor:
    """One image [C, Z, H, W]."""
    fine = spread_blocks(light.clamp(min=0), camera.binning) / camera.binning**2
    electrons = poisson_numbers(fine * camera.quantum_efficiency + camera.dark_e, random)
    charge = electrons.clamp_(max=int(camera.full_well_e))
    side = camera.binning * binning
    bins_late = camera.kind == "scmos"
    charge = multiply(charge if bins_late else sum_blocks(charge, side), excess, random)
    if camera.em_gain > 1:
        charge = camera.em_gain * _gamma(charge, random)
    maps = sensor_maps(camera).over((charge.shape[-2], charge.shape[-1]))
    gain, offset, spread = (
        torch.from_numpy(values.copy()).to(charge.device) for values in (maps.gain, maps.offset_dn, maps.read_noise)
    )
    read = torch.randn(charge.shape, generator=random, device=charge.device) * camera.read_noise_e * spread
    numbers = (charge + read) / camera.gain_e_per_dn * gain + camera.offset_dn + offset
    numbers = numbers.round_().clamp_(0, 2**camera.bits - 1)
    return sum_blocks(numbers, side) if bins_late else numbers


def _gamma(shape: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """Standard Gamma numbers, 0 of shape 0."""
    drawn = torch._standard_gamma(shape.clamp(min=1e-6), generator=random)
    return torch.where(shape > 0, drawn, torch.zeros_like(drawn))
