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
        summary="in focus and evenly lit: 20x/0.75 air or 60x/1.4 oil, green dye, sCMOS, SNR 8",
        objectives={
            "cells": Optics(numerical_aperture=0.75, wavelength_nm=520, pixel_size_nm=325, immersion_index=1.0),
            "organelles": Optics(numerical_aperture=1.4, wavelength_nm=520, pixel_size_nm=65),
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
MICROSCOPES.add(
    "shifted",
    Instrument(
        summary="deep in a watery specimen, slightly out of focus, hazy, dim: 16x/0.5 or 60x/1.2 water, red dye, EMCCD",
        objectives={
            "cells": Optics(
                numerical_aperture=0.5,
                wavelength_nm=670,
                pixel_size_nm=430,
                immersion_index=1.33,
                sample_index=1.38,
                depth_um=20,
                defocus_um=2.0,
            ),
            "organelles": Optics(
                psf="pupil",
                numerical_aperture=1.2,
                wavelength_nm=670,
                pixel_size_nm=86,
                immersion_index=1.33,
                sample_index=1.38,
                depth_um=5,
                defocus_um=0.15,
                astigmatism_waves=0.05,
            ),
        },
        illumination={
            "cells": Illumination(falloff=0.45, background=0.9, haze=0.8, haze_um=6.0),
            "organelles": Illumination(falloff=0.45, background=0.9, haze=0.8, haze_um=1.2),
        },
        camera=Camera(
            kind="emccd",
            quantum_efficiency=0.9,
            dark_current_e_per_s=0.05,
            clock_induced_e=0.01,
            em_gain=100.0,
            read_noise_e=40.0,
            full_well_e=80000,
            gain_e_per_dn=12.0,
            offset_dn=200.0,
            bits=16,
        ),
        snr=3.5,
    ),
)
