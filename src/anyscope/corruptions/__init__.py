"""Corruptions by name, each at severities 1 to 5."""

from anyscope.corruptions.catalog import CORRUPTIONS
from anyscope.corruptions.corruption import SEVERITIES, Acquisition, Corrupted, Corruption
from anyscope.corruptions.fluorescence import acquisition_of_record, assume_acquisition
from anyscope.corruptions.warping import warp_images, warp_labels

__all__ = [
    "CORRUPTIONS",
    "SEVERITIES",
    "Acquisition",
    "Corrupted",
    "Corruption",
    "acquisition_of_record",
    "assume_acquisition",
    "warp_images",
    "warp_labels",
]
