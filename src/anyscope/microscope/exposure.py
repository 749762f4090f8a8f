"""How much light an image needs to have a given signal-to-noise ratio.

SNR = (mean_fg - mean_bg) / sigma_bg, as in the robustness assay (doi 10.1186/s12859-024-05894-4), with each term made
explicit, because a synthetic image knows its truth:

- *foreground* is every pixel of an object, *background* every pixel of none, by the exact label image;
- both means are over the digital image as it is, haze, blurred skirts of objects and saturation included;
- sigma_bg is the standard deviation of the **noise** in the background: of the difference between the digital image
  and its noise-free expectation. Haze, skirts and uneven light are structure, not noise, and are not in it; shot
  noise (theirs too), dark current, multiplication, readout, fixed pattern and rounding are.

The plain ratio with the standard deviation of the background as it is, which is what one can measure on real images,
is recorded beside it as ``with_structure``; with ``sigma="background"`` the light is set by that one instead. On flat
backgrounds the two agree; structure bounds the plain ratio however much light there is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from anyscope.errors import BadInput
from anyscope.microscope import camera as sensor
from anyscope.microscope.settings import Camera

Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]
Sigma = Literal["noise", "background"]

_CLOSE = 1e-3
_STEPS = 24
_REACH = 16


def snr(
    image: NDArray[np.number],
    foreground: Mask,
    background: Mask,
    expected: NDArray[np.number] | None = None,
) -> float:
    """Signal-to-noise ratio (mean_fg - mean_bg) / sigma_bg of an image.

    Args:
        image: Any numeric array.
        foreground: Mask of its shape.
        background: Mask of its shape.
        expected: The noise-free expectation of ``image`` in the same units. With it, sigma_bg is the standard
            deviation of the noise alone; without it, of the background as it is.

    Returns:
        The ratio; infinite for a background without noise, NaN where there is no contrast either.

    Raises:
        BadInput: A mask is empty.

    >>> image = np.array([[0.0, 2.0, 9.0, 9.0]])
    >>> snr(image, image > 5, image < 5)
    8.0
    """
    for name, mask in (("foreground", foreground), ("background", background)):
        if not mask.any():
            raise BadInput("snr", f"the image has no {name}", "pixels of both foreground and background")
    dark = image[background].astype(np.float64)
    contrast = float(image[foreground].mean(dtype=np.float64) - dark.mean())
    noise = float((dark if expected is None else dark - expected[background]).std())
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.float64(contrast) / noise)


@dataclass(frozen=True)
class Exposure:
    """An image and the light that made it: ``photons = light * relative signal``."""

    image: NDArray[np.uint16]
    light: float
    snr: float


def expose_to_snr(
    camera: Camera,
    relative: Floats,
    foreground: Mask,
    target: float,
    generator: np.random.Generator,
    sigma: Sigma = "noise",
) -> Exposure:
    """Choose the light so that this very image, with its own noise, has the SNR ``target`` (to 0.1 % where possible).

    A starting value follows from the variances of Poisson, multiplication and readout. Around it the light is
    searched along **one** realisation of the noise: photons arrive as a Poisson process, so more light only adds
    electrons to those already caught, and an exposure between two known ones catches a binomial share of the
    difference. Each step of the search therefore refines the same frame instead of drawing another one, and the result
    is distributed as any other frame at its light.

    Args:
        camera: Parameters.
        relative: Expected photons on each sensor pixel (y * binning, x * binning) per unit of light.
        foreground: Mask of the image (y, x); the rest is background.
        target: SNR as defined in this module.
        generator: Source of all noise.
        sigma: Whether sigma_bg is that of the ``noise`` or of the ``background`` as it is.

    Raises:
        BadInput: No light gives that SNR with this camera (it saturates, or there is no contrast or background).
    """
    frame = _Frame(camera, relative, foreground, generator, sigma)
    start, width = light_needed(camera, relative, foreground, target)
    low = frame.expose(start / (1 + width))
    while low.snr > target and low.light > start / _REACH:
        low = frame.expose(low.light / (1 + 2 * width))
    high = frame.brighter(low, low.light * (1 + 2 * width))
    while not high.snr >= target:
        if high.light > start * _REACH or not high.snr >= 0.9 * low.snr:
            raise BadInput(
                f"snr {target:g}",
                f"more light than {high.light:.3g} photons per unit signal does not help, the image has {high.snr:.3g}",
                "an SNR within the reach of the camera",
                "raise full_well_e, bits or gain_e_per_dn, or lower the background, the haze or the SNR",
            )
        low, high = high, frame.brighter(high, high.light * (1 + 2 * width))
    best = min((low, high), key=lambda state: abs(state.snr - target))
    for _ in range(_STEPS):
        if abs(best.snr / target - 1) < _CLOSE:
            break
        share = (target - low.snr) / max(high.snr - low.snr, 1e-12)
        middle = frame.between(low, high, float(np.clip(share, 0.05, 0.95)))
        low, high = (middle, high) if middle.snr < target else (low, middle)
        best = min((best, middle), key=lambda state: abs(state.snr - target))
    return Exposure(best.image, best.light, best.snr)


def light_needed(camera: Camera, relative: Floats, foreground: Mask, target: float) -> tuple[float, float]:
    """Light for which the noise of images is such that they have the SNR ``target``.

    Args:
        camera, relative, foreground, target: See :func:`expose_to_snr`.

    Returns:
        The light in theory, the positive root of contrast^2 x^2 = target^2 (a x + b); and how far from it, relative to
        it, that of any one image surely lies.

    Raises:
        BadInput: There is no foreground, no background or no contrast.
    """
    binned = sensor.bin_sum(relative.astype(np.float64), camera.binning)
    background = ~foreground
    for name, mask in (("foreground", foreground), ("background", background)):
        if not mask.any():
            raise BadInput("snr", f"the image has no {name}", "pixels of both foreground and background")
    contrast = float(binned[foreground].mean() - binned[background].mean()) * sensor.dn_per_photon(camera)
    if contrast <= 0:
        raise BadInput(
            "snr", "the foreground is not brighter than the background", "a specimen brighter than its surroundings"
        )
    excess = 2.0 - 1.0 / camera.em_gain if camera.em_gain > 1 else 1.0
    per_electron = excess * (camera.em_gain / camera.gain_e_per_dn) ** 2
    pixels = camera.binning**2
    reads = pixels if camera.kind == "scmos" else 1
    spread = np.exp(2 * camera.read_noise_spread**2)
    read = (camera.read_noise_e / camera.gain_e_per_dn) ** 2 * spread + camera.offset_spread_dn**2 + 1 / 12
    a = per_electron * camera.quantum_efficiency * float(binned[background].mean())
    b = per_electron * pixels * camera.dark_e + reads * read
    p = target**2 * a / contrast**2
    q = target**2 * b / contrast**2
    # One frame's sigma_bg scatters by 1 / sqrt(2 n) and its contrast by sigma / sqrt(n): several times as much.
    inside = int(foreground.sum())
    outside = foreground.size - inside
    scatter = 0.03 + 6 / np.sqrt(2 * outside) + 6 / (target * np.sqrt(min(inside, outside)))
    return float(p / 2 + np.sqrt(p * p / 4 + q)), float(scatter)


@dataclass(frozen=True)
class _State:
    """The frame at one amount of light: electrons from photons, charges at the readout, multiplied, the image."""

    light: float
    electrons: sensor.Electrons
    charge: sensor.Electrons
    multiplied: NDArray[np.float64]
    image: NDArray[np.uint16]
    snr: float


def _scattered(rate: float, shape: tuple[int, ...], generator: np.random.Generator) -> sensor.Electrons:
    """Poisson numbers of one ``rate``; of a small one the sum is drawn, and thrown onto the pixels."""
    if rate > 0.5:
        return generator.poisson(rate, shape)
    size = int(np.prod(shape))
    hit = generator.integers(size, size=generator.poisson(rate * size))
    return np.bincount(hit, minlength=size).reshape(shape)


class _Frame:
    """One realisation of all noise, as a function of the light."""

    def __init__(
        self, camera: Camera, relative: Floats, foreground: Mask, generator: np.random.Generator, sigma: Sigma
    ) -> None:
        self._camera = camera
        self._sigma = sigma
        self._rate = relative.astype(np.float64) * camera.quantum_efficiency
        self._foreground = foreground
        self._generator = generator
        self._dark = _scattered(camera.dark_e, relative.shape, generator)
        shape = relative.shape if camera.kind == "scmos" else foreground.shape
        self._read_noise = sensor.draw_read_noise(camera, shape, generator)
        self._relative_image = sensor.expected_image(camera, relative) - sensor.dark_dn(camera)

    def expose(self, light: float) -> _State:
        electrons = self._generator.poisson(self._rate * light)
        charge = sensor.collect(self._camera, electrons + self._dark)
        return self._read(light, electrons, charge, sensor.multiply(charge, self._camera.em_gain, self._generator))

    def brighter(self, state: _State, light: float) -> _State:
        more = self._generator.poisson(self._rate * (light - state.light))
        charge = sensor.collect(self._camera, state.electrons + more + self._dark)
        added = sensor.multiply(charge - state.charge, self._camera.em_gain, self._generator)
        return self._read(light, state.electrons + more, charge, state.multiplied + added)

    def between(self, low: _State, high: _State, share: float) -> _State:
        light = low.light + share * (high.light - low.light)
        electrons = low.electrons + self._generator.binomial(high.electrons - low.electrons, share)
        charge = sensor.collect(self._camera, electrons + self._dark)
        return self._read(light, electrons, charge, self._share(low, charge, high))

    def _share(self, low: _State, charge: sensor.Electrons, high: _State) -> NDArray[np.float64]:
        """Multiplied charges of a state between two: a gamma process given its ends is a beta share of the gain."""
        if self._camera.em_gain == 1:
            return charge.astype(np.float64)
        left = self._generator.standard_gamma(charge - low.charge)
        right = self._generator.standard_gamma(high.charge - charge)
        share = left / np.maximum(left + right, 1e-300)
        return low.multiplied + (high.multiplied - low.multiplied) * share

    def _read(
        self, light: float, electrons: sensor.Electrons, charge: sensor.Electrons, multiplied: NDArray[np.float64]
    ) -> _State:
        image = sensor.digitise(self._camera, multiplied, self._read_noise)
        expected = self._relative_image * light if self._sigma == "noise" else None
        measured = snr(image, self._foreground, ~self._foreground, expected)
        return _State(light, electrons, charge, multiplied, image, measured)
