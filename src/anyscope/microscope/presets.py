"""Microscopes by name: complete instruments, each with an objective for cells and one for organelles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from anyscope.microscope.settings import Camera, Illumination, MicroscopeSettings, Optics
from anyscope.microscope.specimens import SPECIMENS, Scale
from anyscope.registry import Registry


@dataclass(frozen=True)
class Instrument:
    """A microscope with its turret of objectives.

    Args:
        summary: One sentence for the user.
        objectives: Optics for each scale of specimen.
        illumination: Illumination for each scale of specimen.
        camera: Its camera.
        snr: Its usual signal-to-noise ratio.
    """

    summary: str
    objectives: Mapping[Scale, Optics]
    illumination: Mapping[Scale, Illumination]
    camera: Camera
    snr: float

    def settings(self, specimen: str) -> MicroscopeSettings:
        """Settings with the objective that suits the specimen of that name."""
        scale = SPECIMENS[specimen].scale
        return MicroscopeSettings(
            optics=self.objectives[scale], illumination=self.illumination[scale], camera=self.camera, snr=self.snr
        )


MICROSCOPES: Registry[Instrument] = Registry("microscope")
MICROSCOPES.add(
    "reference",
    Instrument(
        summary="good light: 20x/0.75 air and 60x/1.4 oil, green dye, sCMOS of 6.5 um pixels, SNR 8",
        objectives={
            "cells": Optics(
                psf="gaussian", numerical_aperture=0.75, wavelength_nm=520, pixel_size_nm=325, immersion_index=1.0
            ),
            "organelles": Optics(psf="gaussian", numerical_aperture=1.4, wavelength_nm=520, pixel_size_nm=65),
        },
        illumination={
            "cells": Illumination(falloff=0.15, background=0.15, haze=0.25, haze_um=4.0),
            "organelles": Illumination(falloff=0.15, background=0.15, haze=0.25, haze_um=0.8),
        },
        camera=Camera(
            kind="scmos",
            quantum_efficiency=0.82,
            read_noise_e=1.6,
            full_well_e=30000,
            gain_e_per_dn=0.46,
            bits=16,
            gain_spread=0.01,
            offset_spread_dn=0.5,
            read_noise_spread=0.3,
        ),
        snr=8.0,
    ),
)
