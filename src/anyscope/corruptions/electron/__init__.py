"""Corruptions of electron microscopy: the section, the beam, the lens, the detector."""

from anyscope.corruptions.corruption import Corruption
from anyscope.corruptions.electron.cutting import Curtaining, KnifeMarks
from anyscope.corruptions.electron.detector import DeadPixels, ElectronShotNoise
from anyscope.corruptions.electron.lens import CtfAstigmatism, CtfDefocus
from anyscope.corruptions.electron.scanning import Charging, Misalignment, ScanDistortion, ScanLineNoise
from anyscope.corruptions.electron.stack import ContrastDrift, LowContrastSection, MissingSection
from anyscope.corruptions.electron.stain import StainPrecipitate
from anyscope.corruptions.electron.tears import Crack, Fold, Hole

ENTRIES: tuple[type[Corruption], ...] = (
    Fold,
    Crack,
    Hole,
    StainPrecipitate,
    KnifeMarks,
    Curtaining,
    Charging,
    ScanLineNoise,
    ScanDistortion,
    CtfDefocus,
    CtfAstigmatism,
    ElectronShotNoise,
    DeadPixels,
    MissingSection,
    LowContrastSection,
    ContrastDrift,
    Misalignment,
)
