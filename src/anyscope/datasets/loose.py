"""Images that nobody made a dataset of: one file, or a folder of files."""

from __future__ import annotations

from pathlib import Path

from anyscope.datasets.description import DatasetDescription
from anyscope.datasets.folder import Dataset, open_dataset
from anyscope.errors import BadInput
from anyscope.images import ReadOptions, is_image, list_images, open_image, stem_of

_EXPECTED = "an image, a folder of images or a dataset folder"


def is_dataset(path: Path) -> bool:
    """Whether a path is a dataset folder, one with ``images/``."""
    return (path / "images").is_dir()


def open_unlabelled(path: Path | str, options: ReadOptions | None = None) -> Dataset:
    """Open what images are wanted of, and no labels: a dataset folder, a folder of images, or one image or stack.

    Only metadata is read. What is no dataset folder has no description, and is split by name where it has to be.

    Args:
        path: The file or folder.
        options: How to read the images where the files leave it open.

    Raises:
        BadInput: There is nothing, or no image in it, or one that cannot be read.
    """
    path, options = Path(path), options or ReadOptions()
    if is_dataset(path):
        return open_dataset(path, options, labels=False)
    if is_image(path):
        paths = {stem_of(path): path}
    elif path.is_dir():
        paths = list_images(path)
        if not paths:
            raise BadInput(path, "there are no images in it", _EXPECTED)
    else:
        raise BadInput(path, "not an image that can be read" if path.exists() else "no such file or folder", _EXPECTED)
    return Dataset(path, DatasetDescription(), {stem: open_image(each, options) for stem, each in paths.items()}, None)
