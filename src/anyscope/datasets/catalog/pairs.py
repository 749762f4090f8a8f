"""Single images with their labels, written as a dataset folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from anyscope.errors import BadInput, explain_os_errors
from anyscope.images import open_image, write_labels
from anyscope.running.progress import progress

Pair = tuple[str, Path, Callable[[], NDArray[Any]]]
"""A stem, an image file, and a call that gives its labels (y, x)."""


def write_pairs(out: Path, pairs: Sequence[Pair]) -> None:
    """Copy images as they are and write their labels as TIFF.

    Args:
        out: The dataset folder.
        pairs: The images in order.

    Raises:
        BadInput: No pair, or labels of another shape than their image.
    """
    (out / "images").mkdir(parents=True, exist_ok=True)
    with progress("prepare images", len(pairs), "images") as shown:
        for stem, image, labels in pairs:
            found = labels()
            shape = open_image(image).shape
            if shape[1:] != (1, *found.shape):
                raise BadInput(image, f"shape {shape[1:]} (z, y, x)", f"{(1, *found.shape)} as its labels")
            with explain_os_errors(image):
                shutil.copyfile(image, out / "images" / f"{stem}{image.suffix.lower()}")
            write_labels(out / "labels" / f"{stem}.tif", found[None])
            shown.advance()
