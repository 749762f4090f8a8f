"""Corruptions of electron microscopy: the section, the beam, the lens, the detector."""

from anyscope.corruptions.corruption import Corruption

ENTRIES: tuple[type[Corruption], ...] = ()
