"""Other people's models, through one contract: networks that give maps, and models that give labels.

What an adapter makes is either an :class:`ForeignNetwork`, which inference, assay and attacks treat as a segmenter of
ours, or a callable with a ``spec`` that gives the labels (z, y, x) of an image (c, z, y, x) in 0..1.
"""

from anyscope.external.description import CommandFile, ForeignFile, FunctionFile, NetworkFile
from anyscope.external.networks import ForeignNetwork, LabelsAsLogits
from anyscope.external.opening import ForeignModel, identity, is_foreign, open_foreign, read_foreign

__all__ = [
    "CommandFile",
    "ForeignFile",
    "ForeignModel",
    "ForeignNetwork",
    "FunctionFile",
    "LabelsAsLogits",
    "NetworkFile",
    "identity",
    "is_foreign",
    "open_foreign",
    "read_foreign",
]
