"""The models by name."""

from __future__ import annotations

from anyscope.models.entry import ModelEntry
from anyscope.models.nets import fcn, hrnet, icnet, sam_unet, segnet, smp, unet, vit
from anyscope.registry import Registry

MODELS: Registry[ModelEntry] = Registry("model")
for _family in (unet, fcn, segnet, icnet, hrnet, smp, vit, sam_unet):
    for _entry in _family.ENTRIES:
        MODELS.add(_entry.name, _entry)
