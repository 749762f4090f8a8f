"""Corruptions of fluorescence microscopy, in the order of physics: optics on the signal, then photons, then sensor."""

from anyscope.corruptions.corruption import Corruption
from anyscope.corruptions.fluorescence.aberrations import (
    Astigmatism,
    Coma,
    DefocusFluorescence,
    SpatiallyVariantBlur,
    SphericalAberration,
    Trefoil,
)
from anyscope.corruptions.fluorescence.acquisition import acquisition_of_record, assume_acquisition
from anyscope.corruptions.fluorescence.detector import Binning, EMExcessNoise, HotPixels, ReadNoise, Saturation
from anyscope.corruptions.fluorescence.foreign_light import Autofluorescence, BleedThrough, OutOfFocusHaze
from anyscope.corruptions.fluorescence.motion import Drift, ScanLineJitter, StageVibration
from anyscope.corruptions.fluorescence.photons import Background, Photobleaching, PhotonLoss, UnevenIllumination
from anyscope.corruptions.fluorescence.sensor import expose

__all__ = ["ENTRIES", "acquisition_of_record", "assume_acquisition", "expose"]

ENTRIES: tuple[type[Corruption], ...] = (
    DefocusFluorescence,
    SphericalAberration,
    Astigmatism,
    Coma,
    Trefoil,
    SpatiallyVariantBlur,
    Drift,
    StageVibration,
    ScanLineJitter,
    PhotonLoss,
    Photobleaching,
    UnevenIllumination,
    Background,
    BleedThrough,
    OutOfFocusHaze,
    Autofluorescence,
    ReadNoise,
    EMExcessNoise,
    HotPixels,
    Saturation,
    Binning,
)
