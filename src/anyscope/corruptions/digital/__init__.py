"""Corruptions of the digital image: those of ImageNet-C without the weather, and what files and screens do."""

from anyscope.corruptions.corruption import Corruption
from anyscope.corruptions.digital.noise import GaussianNoise

ENTRIES: tuple[type[Corruption], ...] = (GaussianNoise,)
