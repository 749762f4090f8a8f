"""Label images for the tests of this folder."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

SMALL = st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6))


@st.composite
def label_pairs(draw: st.DrawFn, highest: int = 4) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Two small label images of one shape (z, y, x)."""
    shape = draw(SMALL)
    elements = st.integers(0, highest)
    return draw(arrays(np.int64, shape, elements=elements)), draw(arrays(np.int64, shape, elements=elements))


def cells(seed: int, shape: tuple[int, ...] = (96, 96), objects: int = 30) -> NDArray[np.int32]:
    """Voronoi cells of random points, every fifth of them background."""
    rng = np.random.default_rng(seed)
    points = rng.random((objects, len(shape))) * shape
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    nearest = ((grid[..., None, :] - points) ** 2).sum(-1).argmin(-1).astype(np.int32)
    return np.where(nearest % 5 == 0, 0, nearest)


def perturbed(labels: NDArray[np.int32], seed: int) -> NDArray[np.int32]:
    """The labels with some objects shifted, merged, removed and renumbered."""
    rng = np.random.default_rng(seed)
    moved = np.roll(labels, rng.integers(0, 4, labels.ndim), tuple(range(labels.ndim)))
    highest = int(labels.max())
    names = rng.permutation(highest + 1) + 1
    names[rng.integers(0, highest, 3)] = names[rng.integers(0, highest, 3)]
    names[rng.integers(0, highest, 2)] = 0
    return np.where(moved == 0, 0, names[moved]).astype(np.int32)
