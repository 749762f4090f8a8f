"""A synthetic fluorescence microscope: specimen, optics, camera."""

from anyscope.microscope.exposure import expose_to_snr, light_needed, snr
from anyscope.microscope.presets import MICROSCOPES, Instrument
from anyscope.microscope.psf import point_spread
from anyscope.microscope.settings import Camera, Illumination, MicroscopeSettings, Optics
from anyscope.microscope.specimens import SPECIMENS
from anyscope.microscope.synthesis import SyntheticImage, synthesise

__all__ = [
    "SPECIMENS",
    "MICROSCOPES",
    "Instrument",
    "MicroscopeSettings",
    "Optics",
    "Illumination",
    "Camera",
    "SyntheticImage",
    "synthesise",
    "point_spread",
    "expose_to_snr",
    "light_needed",
    "snr",
]
