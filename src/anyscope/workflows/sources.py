"""Images that are no dataset: one file, or a folder of files."""

from __future__ import annotations

from pathlib import Path

from anyscope.datasets.folder import ImageRegion
from anyscope.errors import BadInput
from anyscope.geometry import Roi
from anyscope.images import ReadOptions, is_image, list_images, open_image, stem_of


def open_images(source: Path, read: ReadOptions) -> tuple[ImageRegion, ...]:
    """Open an image file or a folder of images; only metadata is read.

    Raises:
        BadInput: It is neither, or there is no image in it.
    """
    if is_image(source):
        paths = {stem_of(source): source}
    elif source.is_dir():
        paths = list_images(source)
        if not paths:
            raise BadInput(source, "there are no images in it", "an image, a folder of images or a dataset folder")
    else:
        found = "no such file or folder" if not source.exists() else "not an image that can be read"
        raise BadInput(source, found, "an image, a folder of images or a dataset folder")
    images = {stem: open_image(path, read) for stem, path in paths.items()}
    return tuple(
        ImageRegion(stem, image, Roi.whole(image.shape[1:]), image.voxel_size_nm) for stem, image in images.items()
    )
