"""The picture of the README, from the demo's output: ``python docs/make_pictures.py demo``."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from anyscope.images import open_image, read_labels, write_image
from anyscope.reports import pictures

SHOWN = 2
GAP_PX = 6


def row(demo: Path, stem: str) -> np.ndarray:
    """Image, outlines and errors of one test image side by side, RGB (y, x, 3)."""
    image = open_image(demo / "data" / "images" / f"{stem}.tif").read()[0, 0]
    reference = read_labels(demo / "data" / "labels" / f"{stem}.tif")[0] > 0
    prediction = read_labels(demo / "run" / "test" / "predictions" / f"{stem}.tif")[0] > 0
    grey = pictures.to_grey(image)
    panels = [
        pictures.flatten(grey),
        pictures.flatten(grey, pictures.outlines(reference, prediction, width_px=1)),
        pictures.flatten(grey // 2, pictures.errors(reference, prediction)),
    ]
    gap = np.full((grey.shape[0], GAP_PX, 3), 255, np.uint8)
    return np.concatenate([panels[0], gap, panels[1], gap, panels[2]], axis=1)


def main(demo: Path) -> None:
    """Write docs/pictures/demo.png."""
    stems = sorted(path.stem for path in (demo / "run" / "test" / "predictions").glob("*.tif"))[:SHOWN]
    rows = [row(demo, stem) for stem in stems]
    gap = np.full((GAP_PX, rows[0].shape[1], 3), 255, np.uint8)
    picture = np.concatenate([rows[0], gap, rows[1]])
    write_image(Path(__file__).parent / "pictures" / "demo.png", np.moveaxis(picture, -1, 0)[:, None])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
