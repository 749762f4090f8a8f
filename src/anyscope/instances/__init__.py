"""Targets for the heads of a network, and decoders that turn the maps of these heads back into objects."""

from anyscope.instances.decoders import (
    DECODERS,
    Agglomeration,
    Components,
    Decoder,
    MutexWatershed,
    Threshold,
    Watershed,
    build_decoder,
    default_decoder,
)
from anyscope.instances.maps import Maps, foreground_probability, split_maps
from anyscope.instances.numbering import compact, smallest_dtype
from anyscope.instances.targets import targets
from anyscope.instances.tuning import tune

__all__ = [
    "targets",
    "Maps",
    "split_maps",
    "foreground_probability",
    "DECODERS",
    "Decoder",
    "Threshold",
    "Components",
    "Watershed",
    "MutexWatershed",
    "Agglomeration",
    "build_decoder",
    "default_decoder",
    "tune",
    "compact",
    "smallest_dtype",
]
