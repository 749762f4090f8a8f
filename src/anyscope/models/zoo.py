"""The models by name."""

from __future__ import annotations

from anyscope.models.entry import ModelEntry
from anyscope.models.nets import smp, unet
from anyscope.registry import Registry

MODELS: Registry[ModelEntry] = Registry("model")
for _entry in (*unet.ENTRIES, *smp.ENTRIES):
    MODELS.add(_entry.name, _entry)
