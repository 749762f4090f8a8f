"""Linking: from objects of slices to objects of a volume.

    labels (z, y, x), ids by slice  ->  labels (z, y, x), one id for each object of the volume

- ``overlap``: each slice with the next; one to one, or with branches.
- ``multicut``: all slices at once.

A volume that does not fit memory is linked slice by slice: ``numbering = linker.number(slices)`` reads them once,
``numbering.apply(z, plane)`` gives each its ids.
"""

from anyscope.instances.linking.base import LINKERS, Linker, Numbering, build_linker
from anyscope.instances.linking.multicut import MulticutLinker
from anyscope.instances.linking.overlap import OverlapLinker

__all__ = ["LINKERS", "Linker", "MulticutLinker", "Numbering", "OverlapLinker", "build_linker"]
