"""From expected photons to digital numbers.

electrons = min(Poisson(QE photons) + Poisson(dark), full well), multiplied in the register of an EMCCD, then
DN = clip(round((electrons + N(0, read noise)) / gain + offset), 0, 2**bits - 1). CCD and EMCCD sum the charges of
binned pixels before multiplication and readout; sCMOS sums digitised pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from anyscope.microscope.settings import Camera
from anyscope.seeding import generator as named_generator

Floats = NDArray[np.float32]
Electrons = NDArray[np.int64]
Number = TypeVar("Number", bound=np.generic)

_TILE = 1024  # the maps of a sensor repeat with this period, so that images of all sizes see the same sensor


def take_image(camera: Camera, photons: Floats, generator: np.random.Generator) -> NDArray[np.uint16]:
    """One noisy image of the expected ``photons``.

    Args:
        camera: Parameters.
        photons: Expected photons on each sensor pixel (y * binning, x * binning).
        generator: Source of all noise of this frame; the maps of an sCMOS depend on ``camera.sensor_id`` instead.

    Returns:
        Digital numbers (y, x).
    """
    electrons = generator.poisson(photons * camera.quantum_efficiency + camera.dark_e)
    charge = multiply(collect(camera, electrons), camera.em_gain, generator)
    return digitise(camera, charge, draw_read_noise(camera, charge.shape, generator))


def collect(camera: Camera, electrons: Electrons) -> Electrons:
    """Charges that reach the readout: limited by the full well, and binned unless the camera bins later."""
    full = np.minimum(electrons, int(camera.full_well_e))
    return full if camera.kind == "scmos" else bin_sum(full, camera.binning)


def multiply(electrons: Electrons, gain: float, generator: np.random.Generator) -> NDArray[np.float64]:
    """Stochastic multiplication: Gamma with shape ``electrons`` and scale ``gain``.

    At high gain its variance is that of the Poisson input twice over: an excess noise factor of sqrt 2
    (doi 10.1371/journal.pone.0053671).
    """
    if gain == 1:
        return electrons.astype(np.float64)
    return generator.standard_gamma(electrons) * gain


def draw_read_noise(camera: Camera, shape: tuple[int, ...], generator: np.random.Generator) -> Floats:
    """Read noise of one frame in electrons, for each pixel that is digitised."""
    noise = generator.standard_normal(shape, dtype=np.float32) * np.float32(camera.read_noise_e)
    return noise * sensor_maps(camera).over(shape).read_noise if camera.read_noise_spread else noise


def digitise(camera: Camera, charge: NDArray[np.floating], read_noise: Floats) -> NDArray[np.uint16]:
    """Read charges out: digital numbers (y, x), binned here if the camera is an sCMOS."""
    maps = sensor_maps(camera).over(charge.shape)
    numbers = (charge + read_noise) / camera.gain_e_per_dn * maps.gain + camera.offset_dn + maps.offset_dn
    numbers = np.clip(np.rint(numbers), 0, 2**camera.bits - 1).astype(np.uint16)
    return bin_sum(numbers, camera.binning) if camera.kind == "scmos" else numbers


def expected_image(camera: Camera, photons: Floats) -> NDArray[np.float64]:
    """Mean image (y, x) in digital numbers, of a nominal sensor, without clipping."""
    return dn_per_photon(camera) * bin_sum(photons.astype(np.float64), camera.binning) + dark_dn(camera)


def dn_per_photon(camera: Camera) -> float:
    """Digital numbers for one photon, on average."""
    return camera.quantum_efficiency * camera.em_gain / camera.gain_e_per_dn


def dark_dn(camera: Camera) -> float:
    """Mean digital number of an image pixel without light."""
    pixels = camera.binning**2
    offsets = pixels if camera.kind == "scmos" else 1
    return camera.offset_dn * offsets + pixels * camera.dark_e * camera.em_gain / camera.gain_e_per_dn


def bin_sum(array: NDArray[Number], binning: int) -> NDArray[Number]:
    """Sum blocks of ``binning`` x ``binning`` pixels; the type stays."""
    if binning == 1:
        return array
    height, width = array.shape
    blocks = array.reshape(height // binning, binning, width // binning, binning)
    summed: NDArray[Number] = blocks.sum(axis=(1, 3), dtype=array.dtype)
    return summed


@dataclass(frozen=True)
class SensorMaps:
    """What differs from pixel to pixel: relative gain (mean 1), offset in DN (mean 0), relative read noise."""

    gain: Floats
    offset_dn: Floats
    read_noise: Floats

    def over(self, shape: tuple[int, ...]) -> SensorMaps:
        """The maps of a sensor of ``shape`` (y, x)."""
        repeats = [-(-length // _TILE) for length in shape]
        if self.gain.size == 1:
            return self
        maps = (self.gain, self.offset_dn, self.read_noise)
        if max(repeats) > 1:
            maps = tuple(np.tile(m, repeats) for m in maps)  # type: ignore[assignment]
        return SensorMaps(*(m[: shape[0], : shape[1]] for m in maps))


@lru_cache(maxsize=4)
def sensor_maps(camera: Camera) -> SensorMaps:
    """The maps of the individual sensor ``camera.sensor_id``; uniform unless the camera is an sCMOS with spreads.

    The read noise of sCMOS pixels is log-normal: a few pixels are far noisier than the median.
    """
    if not (camera.gain_spread or camera.offset_spread_dn or camera.read_noise_spread):
        one = np.ones((1, 1), dtype=np.float32)
        return SensorMaps(one, 0 * one, one)
    drawn = [
        named_generator(camera.sensor_id, "sensor", name).standard_normal((_TILE, _TILE), dtype=np.float32)
        for name in ("gain", "offset", "read noise")
    ]
    return SensorMaps(
        np.maximum(1 + camera.gain_spread * drawn[0], 0.1),
        np.float32(camera.offset_spread_dn) * drawn[1],
        np.exp(np.float32(camera.read_noise_spread) * drawn[2]),
    )
