"""Corruptions of the digital image: those of ImageNet-C without the weather, and what files and screens do."""

from anyscope.corruptions.corruption import Corruption
from anyscope.corruptions.digital.blur import DefocusBlur, GaussianBlur, MotionBlur, ZoomBlur
from anyscope.corruptions.digital.elastic import ElasticTransform
from anyscope.corruptions.digital.glass import GlassBlur
from anyscope.corruptions.digital.intensity import BitDepth, Brightness, Contrast, Gamma, Inversion
from anyscope.corruptions.digital.noise import GaussianNoise, ImpulseNoise, ShotNoise, SpeckleNoise
from anyscope.corruptions.digital.sampling import JpegCompression, Pixelate, Resampling

ENTRIES: tuple[type[Corruption], ...] = (
    GaussianNoise,
    ShotNoise,
    ImpulseNoise,
    SpeckleNoise,
    GaussianBlur,
    DefocusBlur,
    GlassBlur,
    MotionBlur,
    ZoomBlur,
    Contrast,
    Brightness,
    JpegCompression,
    Pixelate,
    ElasticTransform,
    BitDepth,
    Gamma,
    Inversion,
    Resampling,
)
