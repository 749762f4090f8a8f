"""How fluorescence images were taken: from the records of synthetic images, or assumed for real ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from anyscope.corruptions.corruption import Acquisition
from anyscope.errors import BadInput
from anyscope.microscope import MICROSCOPES, MicroscopeSettings, Optics
from anyscope.microscope.camera import dark_dn, dn_per_photon

ASSUMED_PHOTONS = 100.0
"""Photons of the brightest pixel of an image of which nothing is known (about 1e2 per pixel, arXiv 1812.10366)."""
ASSUMED_PEDESTAL = 5.0
"""Photons of its darkest pixel."""


def assume_acquisition(images: torch.Tensor, pixel_size_nm: float | None = None) -> Acquisition:
    """How images of which nothing is known were probably taken.

    The grey level 0 is read as 5 photons and 1 as 105. The camera is that of the reference microscope, and its noise
    counts as being in the image already. The optics are those of the reference microscope's objective for organelles
    (60x/1.4 oil, 65 nm pixels); where the size of a pixel is known, of the one whose pixels are nearest to it.

    Args:
        images: [B, C, Z, H, W] in 0..1.
        pixel_size_nm: Size of their pixels.

    Returns:
        An acquisition that is not ``exact``.
    """
    reference = MICROSCOPES["reference"]
    optics = reference.objectives["organelles"]
    if pixel_size_nm is not None:
        if not (math.isfinite(pixel_size_nm) and pixel_size_nm > 0):
            raise BadInput("pixel size", f"{pixel_size_nm:g} nm", "a positive number of nanometres")
        size = pixel_size_nm
        nearest = min(reference.objectives.values(), key=lambda known: abs(math.log(known.pixel_size_nm / size)))
        optics = nearest.changed(pixel_size_nm=size)
    camera = reference.camera
    low = dark_dn(camera) + dn_per_photon(camera) * ASSUMED_PEDESTAL
    black = torch.full((len(images),), low, dtype=images.dtype, device=images.device)
    return Acquisition(
        photons=ASSUMED_PHOTONS * images + ASSUMED_PEDESTAL,
        exact=False,
        foreground=None,
        optics=optics,
        camera=camera,
        low=black,
        high=black + dn_per_photon(camera) * ASSUMED_PHOTONS,
    )


def acquisition_of_record(
    records: Sequence[Mapping[str, Any]],
    signals: Sequence[NDArray[np.floating]],
    ranges: Sequence[tuple[float, float]],
    masks: Sequence[NDArray[Any]] | None = None,
    device: torch.device | None = None,
) -> Acquisition:
    """How synthetic images were taken, exactly.

    Args:
        records: What :class:`~anyscope.microscope.SyntheticImage` calls its record, one for each image; all of the
            same optics and camera.
        signals: Expected photons of each image, of one shape: (y, x), (z, y, x) or (c, z, y, x).
        ranges: The digital numbers of each image that became 0 and 1.
        masks: Labels or masks of the objects, (y, x) or (z, y, x); None if they are not known.
        device: Where the tensors go.

    Raises:
        BadInput: Images of different microscopes or shapes, or lists of different lengths.
    """
    counts = {len(records), len(signals), len(ranges), len(records if masks is None else masks)}
    if len(counts) != 1 or not records:
        raise BadInput(
            "acquisition", f"lists of lengths {sorted(counts)}", "one record, signal, range and mask an image"
        )
    settings = [MicroscopeSettings.model_validate(record["microscope"]) for record in records]
    if any((one.optics, one.camera) != (settings[0].optics, settings[0].camera) for one in settings):
        raise BadInput("acquisition", "images of different microscopes", "one microscope", "split the batch")
    if len({signal.shape for signal in signals}) != 1 or not 2 <= signals[0].ndim <= 4:
        found = f"signals of shapes {sorted({signal.shape for signal in signals})}"
        raise BadInput("acquisition", found, "one shape: (y, x), (z, y, x) or (c, z, y, x)")
    photons = np.stack([_leading(np.asarray(signal, np.float32), 4) for signal in signals])
    foreground = None
    if masks is not None:
        stacked = np.stack([_leading(np.asarray(mask) != 0, 3) for mask in masks])
        if stacked.shape != (len(photons), *photons.shape[2:]):
            found = f"masks of shape {stacked.shape[1:]} for signals of {photons.shape[2:]}"
            raise BadInput("acquisition", found, "masks of the size of the signals (z, y, x)")
        foreground = torch.from_numpy(stacked).to(device)
    low, high = (torch.tensor([pair[end] for pair in ranges], dtype=torch.float32, device=device) for end in (0, 1))
    return Acquisition(
        photons=torch.from_numpy(photons).to(device),
        exact=True,
        foreground=foreground,
        optics=settings[0].optics.changed(pixel_size_nm=settings[0].image_pixel_size_nm),
        camera=settings[0].camera,
        low=low,
        high=high,
    )


def per_image(values: torch.Tensor) -> torch.Tensor:
    """Numbers [B] as [B, 1, 1, 1, 1]."""
    return values.reshape(-1, 1, 1, 1, 1)


def full_scale(acquisition: Acquisition) -> torch.Tensor:
    """Photons [B, 1, 1, 1, 1] between the grey levels 0 and 1: what strengths of added light are relative to."""
    return per_image(acquisition.high - acquisition.low) / dn_per_photon(acquisition.camera)


def to_scale(numbers: torch.Tensor, acquisition: Acquisition) -> torch.Tensor:
    """Digital numbers [B, C, Z, H, W] on the scale of the images, not clipped; 0 where the range is empty."""
    width = per_image(acquisition.high - acquisition.low)
    scaled = (numbers - per_image(acquisition.low)) / torch.where(width > 0, width, torch.ones_like(width))
    return torch.where(width > 0, scaled, torch.zeros_like(scaled)).float()


def depth_of_field_um(optics: Optics) -> float:
    """lambda n / NA^2: twice the defocus that Rayleigh's quarter of a wave allows.

    >>> round(depth_of_field_um(Optics(wavelength_nm=500, numerical_aperture=0.5, immersion_index=1.0)), 3)
    2.0
    """
    return optics.wavelength_nm * optics.immersion_index / optics.numerical_aperture**2 / 1000


def _leading(array: NDArray[Any], axes: int) -> NDArray[Any]:
    """Leading axes of length one until there are ``axes``."""
    return array.reshape((1,) * (axes - array.ndim) + array.shape)
