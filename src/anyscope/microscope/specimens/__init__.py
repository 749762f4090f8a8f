"""Synthetic specimens by name, each with exact truth."""

from anyscope.microscope.specimens.nuclei import Nuclei
from anyscope.microscope.specimens.sample import Sample, Scale, Specimen
from anyscope.registry import Registry

SPECIMENS: Registry[type[Specimen]] = Registry("specimen")
SPECIMENS.add("nuclei", Nuclei)

__all__ = ["Sample", "Scale", "Specimen", "SPECIMENS"]
