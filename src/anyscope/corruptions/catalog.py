"""The corruptions by name."""

from __future__ import annotations

from anyscope.corruptions import digital, electron, fluorescence
from anyscope.corruptions.corruption import Corruption
from anyscope.registry import Registry

CORRUPTIONS: Registry[type[Corruption]] = Registry("corruption")
for _entry in (*fluorescence.ENTRIES, *electron.ENTRIES, *digital.ENTRIES):
    CORRUPTIONS.add(_entry.name, _entry)
