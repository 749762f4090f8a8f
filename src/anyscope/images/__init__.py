"""Images on disk: readers, writers, and one convention of intensity.

Every image is (c, z, y, x), every label image (z, y, x); a single plane has z = 1.
"""

from anyscope.images.image import Image, open_image, open_labels, read_labels
from anyscope.images.intensity import Intensity, load_unit, to_unit
from anyscope.images.names import list_images, stem_of
from anyscope.images.options import ReadOptions
from anyscope.images.readers import READERS
from anyscope.images.writers import WRITERS, output_suffix, write_image, write_labels

__all__ = [
    "open_image",
    "open_labels",
    "read_labels",
    "Image",
    "ReadOptions",
    "READERS",
    "Intensity",
    "to_unit",
    "load_unit",
    "write_image",
    "write_labels",
    "output_suffix",
    "WRITERS",
    "list_images",
    "stem_of",
]
