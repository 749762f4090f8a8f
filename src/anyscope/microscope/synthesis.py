"""One synthetic image: specimen, optics, exposure, record."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from anyscope.errors import BadInput
from anyscope.microscope import camera as sensor
from anyscope.microscope import optics as light
from anyscope.microscope.exposure import Exposure, expose_to_snr, snr
from anyscope.microscope.psf import point_spread
from anyscope.microscope.settings import MicroscopeSettings
from anyscope.microscope.specimens import SPECIMENS, Sample, Specimen
from anyscope.microscope.specimens.sample import separate_pieces
from anyscope.seeding import generator

_LARGEST_PX = 8192
_MARGIN_PX = 64
_ATTEMPTS = 50
_RECORD_VERSION = 1


@dataclass(frozen=True)
class SyntheticImage:
    """An image with its exact truth.

    Args:
        image: Digital numbers (y, x) uint16.
        labels: Exact label image (y, x) uint16 or uint32, 0 background.
        signal: Expected photons of each pixel (y, x) float32: the noise-free image after optics and illumination.
        record: Everything that made it, and what was measured on it, as plain data for JSON or YAML.
    """

    image: NDArray[np.uint16]
    labels: NDArray[np.uint16] | NDArray[np.uint32]
    signal: NDArray[np.float32]
    record: dict[str, Any]


def synthesise(
    specimen: str | Specimen,
    settings: MicroscopeSettings,
    seed: int,
    index: int,
    shape: tuple[int, int] = (512, 512),
) -> SyntheticImage:
    """Draw a specimen and take its image. The same arguments give the same bytes.

    Args:
        specimen: A name in ``SPECIMENS``, with its default parameters, or a specimen with parameters of its own.
        settings: The microscope.
        seed: Seed of the data set.
        index: Number of the image in the data set; every number has its own random streams.
        shape: Pixels (y, x) of the image.

    Raises:
        BadInput: Unknown specimen, impossible shape, or an SNR out of the camera's reach.
    """
    if isinstance(specimen, str):
        specimen = SPECIMENS[specimen]()
    if len(shape) != 2 or not all(16 <= length <= _LARGEST_PX for length in shape):
        raise BadInput("shape", f"{tuple(shape)}", f"two lengths of 16..{_LARGEST_PX} pixels")
    camera = settings.camera
    sensor_shape = (shape[0] * camera.binning, shape[1] * camera.binning)
    sample, relative, attempt = _noise_free(specimen, settings, seed, index, sensor_shape)
    labels = _bin_labels(sample.labels, camera.binning)
    exposed = expose_signal(relative, labels, settings, generator(seed, "noise", index))
    record = {
        "version": _RECORD_VERSION,
        "specimen": {"name": _name_of(specimen), **asdict(cast(Any, specimen))},
        "seed": seed,
        "index": index,
        "attempt": attempt,
    }
    return replace(exposed, record={**record, **exposed.record})


def expose_signal(
    relative: NDArray[np.float32], labels: NDArray[np.int32], settings: MicroscopeSettings, noise: np.random.Generator
) -> SyntheticImage:
    """Take the image of a noise-free signal whose objects are known, with the light that the settings ask for.

    Args:
        relative: Light on each sensor pixel (y * binning, x * binning), in any unit.
        labels: Exact ids (y, x).
        settings: SNR or photons, and the camera; optics and illumination are in ``relative`` already.
        noise: Source of all noise.

    Raises:
        BadInput: The SNR is out of the camera's reach, or objects are not brighter than the background.
    """
    camera, foreground = settings.camera, labels > 0
    if settings.snr is not None:
        exposure = expose_to_snr(camera, relative, foreground, settings.snr, noise, settings.snr_sigma)
    else:
        exposure = _expose_to_photons(settings, relative, foreground, noise)
    signal = sensor.bin_sum(relative * np.float32(exposure.light), camera.binning)
    return SyntheticImage(
        image=exposure.image,
        labels=labels.astype(np.uint16) if labels.max() < 2**16 else labels.astype(np.uint32),
        signal=signal,
        record={
            "microscope": settings.model_dump(mode="json"),
            "shape": list(labels.shape),
            "pixel_size_nm": settings.image_pixel_size_nm,
            "objects": int(labels.max()),
            "foreground_fraction": float(foreground.mean()),
            **_measure(settings, exposure, foreground, signal),
        },
    )


def _noise_free(
    specimen: Specimen, settings: MicroscopeSettings, seed: int, index: int, shape: tuple[int, int]
) -> tuple[Sample, NDArray[np.float32], int]:
    """The sample, its expected light per sensor pixel in units of the foreground's mean, and which attempt it was.

    The specimen is drawn with a margin, so that what lies just outside the field blurs into it. The margin does not
    depend on the optics: one seed and index show the same specimen through every microscope of that pixel size. A
    field with less than 0.5 % of foreground or of background is drawn again.
    """
    optics, illumination = settings.optics, settings.illumination
    kernel = point_spread(optics)
    haze_px = illumination.haze_um * 1000 / optics.pixel_size_nm
    outer = (shape[0] + 2 * _MARGIN_PX, shape[1] + 2 * _MARGIN_PX)
    inner = slice(_MARGIN_PX, -_MARGIN_PX)
    for attempt in range(_ATTEMPTS):
        sample = specimen(generator(seed, "specimen", index, attempt), outer, optics.pixel_size_nm)
        visible = sample.crop(_MARGIN_PX)
        if 0.005 <= (visible.labels > 0).mean() <= 0.995:
            break
    else:
        raise BadInput("specimen", f"{_ATTEMPTS} fields of {shape} pixels were empty or full", "a larger field")
    signal = light.convolve(sample.density, kernel)
    if illumination.haze:
        # What lies above and below is another field of the same specimen; under so wide a blur its mirror image is one.
        signal += np.float32(illumination.haze) * light.haze(sample.density + sample.density[::-1, ::-1], haze_px)
    signal = signal[inner, inner]
    signal = signal / signal[visible.labels > 0].mean(dtype=np.float64).astype(np.float32)
    profile = light.illumination_profile(generator(seed, "illumination", index), shape, illumination.falloff)
    return visible, light.illuminate(signal, profile, illumination.background), attempt


def _expose_to_photons(
    settings: MicroscopeSettings,
    relative: NDArray[np.float32],
    foreground: NDArray[np.bool_],
    noise: np.random.Generator,
) -> Exposure:
    """An image whose foreground receives ``settings.photons`` photons per pixel on average."""
    camera = settings.camera
    assert settings.photons is not None
    level = settings.photons / float(sensor.bin_sum(relative, camera.binning)[foreground].mean(dtype=np.float64))
    photons = relative * np.float32(level)
    image = sensor.take_image(camera, photons, noise)
    has_background = not foreground.all()
    measured = snr(image, foreground, ~foreground, sensor.expected_image(camera, photons)) if has_background else np.nan
    return Exposure(image, level, measured)


def _measure(
    settings: MicroscopeSettings, exposure: Exposure, foreground: NDArray[np.bool_], signal: NDArray[np.float32]
) -> dict[str, Any]:
    """What the record says about light and noise of the finished image."""
    background = ~foreground
    return {
        "snr": {
            "requested": settings.snr,
            "measured": _number(exposure.snr),
            "with_structure": _number(snr(exposure.image, foreground, background)) if background.any() else None,
            "definition": "(mean_fg - mean_bg) / sigma_bg by the exact labels; sigma_bg of the noise alone, "
            "with_structure: of the background as it is",
        },
        "photons": {
            "foreground_mean": float(signal[foreground].mean(dtype=np.float64)),
            "background_mean": float(signal[background].mean(dtype=np.float64)) if background.any() else None,
        },
        "saturated_fraction": float((exposure.image >= settings.camera.highest_dn).mean()),
    }


def _number(value: float) -> float | None:
    """JSON knows neither NaN nor infinity."""
    return float(value) if np.isfinite(value) else None


def _bin_labels(labels: NDArray[np.int32], binning: int) -> NDArray[np.int32]:
    """The most frequent label of each block of sensor pixels, the first in reading order among equals; ids 1..n."""
    if binning == 1:
        return labels
    height, width = labels.shape
    blocks = labels.reshape(height // binning, binning, width // binning, binning).transpose(1, 3, 0, 2)
    stack = blocks.reshape(binning**2, height // binning, width // binning)
    votes = np.stack([(stack == candidate).sum(axis=0) for candidate in stack])
    winner = np.take_along_axis(stack, votes.argmax(axis=0)[None], axis=0)[0]
    return separate_pieces(winner)


def _name_of(specimen: Specimen) -> str:
    """The registered name of a specimen's class."""
    for name, kind in SPECIMENS.items():
        if isinstance(specimen, kind):
            return name
    return type(specimen).__name__.lower()
