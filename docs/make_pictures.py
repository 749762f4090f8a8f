"""The pictures of README and docs.

``python docs/make_pictures.py demo FOLDER`` shows the output of the demo, ``python docs/make_pictures.py synthetic
FOLDER ...`` images of synthetic datasets beside each other.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anyscope.images import list_images, open_image, read_labels, write_image
from anyscope.reports import pictures

SHOWN = 2
GAP_PX = 6
Picture = NDArray[np.uint8]


def side_by_side(panels: list[Picture], axis: int = 1) -> Picture:
    """Panels (y, x, 3) in a row, or in a column with ``axis`` 0, with white between them."""
    parts = []
    for panel in panels:
        shape = list(panel.shape)
        shape[axis] = GAP_PX
        parts += [np.full(shape, 255, np.uint8), panel]
    return np.concatenate(parts[1:], axis=axis)


def demo_row(demo: Path, stem: str) -> Picture:
    """Image, outlines and errors of one test image."""
    image = open_image(demo / "data" / "images" / f"{stem}.tif").read()[0, 0]
    reference = read_labels(demo / "data" / "labels" / f"{stem}.tif")[0] > 0
    prediction = read_labels(demo / "run" / "test" / "predictions" / f"{stem}.tif")[0] > 0
    grey = pictures.to_grey(image)
    outlines = pictures.outlines(reference, prediction, width_px=1)
    errors = pictures.flatten(grey // 2, pictures.errors(reference, prediction))
    return side_by_side([pictures.flatten(grey), pictures.flatten(grey, outlines), errors])


def show_demo(demo: Path) -> Picture:
    """Two test images of the demo."""
    stems = sorted(path.stem for path in (demo / "run" / "test" / "predictions").glob("*.tif"))[:SHOWN]
    return side_by_side([demo_row(demo, stem) for stem in stems], axis=0)


def show_synthetic(folders: list[Path]) -> Picture:
    """Two images of each dataset, a column for each."""
    columns = []
    for folder in folders:
        paths = list(list_images(folder / "images").values())[:SHOWN]
        images = [pictures.flatten(pictures.to_grey(open_image(path).read()[0, 0])) for path in paths]
        columns.append(side_by_side(images, axis=0))
    return side_by_side(columns)


def main(name: str, folders: list[Path]) -> None:
    """Write docs/pictures/NAME.png."""
    picture = show_demo(folders[0]) if name == "demo" else show_synthetic(folders)
    write_image(Path(__file__).parent / "pictures" / f"{name}.png", np.moveaxis(picture, -1, 0)[:, None])


if __name__ == "__main__":
    main(sys.argv[1], [Path(folder) for folder in sys.argv[2:]])
