"""Synthetic specimens by name, each with exact truth."""

from anyscope.microscope.specimens.er import EndoplasmicReticulum
from anyscope.microscope.specimens.mitochondria import Mitochondria
from anyscope.microscope.specimens.nuclei import Nuclei
from anyscope.microscope.specimens.sample import Sample, Scale, Specimen
from anyscope.registry import Registry

SPECIMENS: Registry[type[Specimen]] = Registry("specimen")
SPECIMENS.add("nuclei", Nuclei)
SPECIMENS.add("mitochondria", Mitochondria)
SPECIMENS.add("er", EndoplasmicReticulum)

__all__ = ["SPECIMENS", "Specimen", "Sample", "Scale", "Nuclei", "Mitochondria", "EndoplasmicReticulum"]
