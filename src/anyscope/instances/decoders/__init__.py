"""Decoders: from maps of a network to labels. Each is a frozen set of parameters with a stateless call.

    maps by head (z, y, x)  ->  labels (z, y, x) in the smallest unsigned type that fits

- ``threshold``: mask to 0/1, or the most probable of several classes.
- ``components``: connected components of the mask, or of its interior.
- ``peaks``: hills of the distance that are parted by deep enough passes.
- ``watershed``: seeds where the maps are certain of an interior, grown over boundary and distance within the mask.
- ``mutex_watershed``: affinities; neighbours attract each other, distant pixels may forbid it.
- ``agglomeration``: small fragments joined by the affinity or boundary between them.

All but the first have the parameters of :class:`~anyscope.instances.decoders.finishing.ObjectParameters`.
"""

from anyscope.instances.decoders.agglomeration import Agglomeration
from anyscope.instances.decoders.base import DECODERS, Decoder, build_decoder
from anyscope.instances.decoders.connected_components import Components
from anyscope.instances.decoders.defaults import default_decoder, fitting_decoders
from anyscope.instances.decoders.mutex_watershed import MutexWatershed
from anyscope.instances.decoders.peaks import Peaks
from anyscope.instances.decoders.threshold import Threshold
from anyscope.instances.decoders.watershed import Watershed

__all__ = [
    "DECODERS",
    "Agglomeration",
    "Components",
    "Decoder",
    "MutexWatershed",
    "Peaks",
    "Threshold",
    "Watershed",
    "build_decoder",
    "default_decoder",
    "fitting_decoders",
]
