"""Corruptions of fluorescence microscopy, in the order of physics: optics on the signal, then photons, then sensor."""

from anyscope.corruptions.corruption import Corruption

ENTRIES: tuple[type[Corruption], ...] = ()
