"""Targets for the heads of a network, decoders that turn the maps of these heads back into objects, and linkers that
join the objects of slices to those of a volume."""

from anyscope.instances.decoders import (
    DECODERS,
    Agglomeration,
    Components,
    Decoder,
    MutexWatershed,
    Peaks,
    Threshold,
    Watershed,
    build_decoder,
    default_decoder,
    fitting_decoders,
)
from anyscope.instances.decoding import Decoding
from anyscope.instances.linking import LINKERS, Linker, MulticutLinker, Numbering, OverlapLinker, build_linker
from anyscope.instances.maps import Maps, foreground_probability, split_maps
from anyscope.instances.numbering import compact, smallest_dtype
from anyscope.instances.targets import affinities, targets
from anyscope.instances.tuning import tune

__all__ = [
    "targets",
    "affinities",
    "Maps",
    "split_maps",
    "foreground_probability",
    "DECODERS",
    "Decoder",
    "Threshold",
    "Components",
    "Watershed",
    "MutexWatershed",
    "Peaks",
    "Agglomeration",
    "build_decoder",
    "default_decoder",
    "fitting_decoders",
    "Decoding",
    "tune",
    "LINKERS",
    "Linker",
    "OverlapLinker",
    "MulticutLinker",
    "Numbering",
    "build_linker",
    "compact",
    "smallest_dtype",
]
