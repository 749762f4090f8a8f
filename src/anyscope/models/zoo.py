"""The models by name."""

from __future__ import annotations

from anyscope.models.entry import ModelEntry
from anyscope.models.nets import fcn, hrnet, icnet, segnet, smp, unet, vit
from anyscope.registry import Registry

MODELS: Registry[ModelEntry] = Registry("model")
for _family in (unet, fcn, segnet, icnet, hrnet, smp, vit):
    for _entry in _family.ENTRIES:
        MODELS.add(_entry.name, _entry)
