from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from anyscope.reports.colouring import neighbour_colours, neighbours


def brute_force(labels: np.ndarray, reach: int) -> set[tuple[int, int]]:
    pairs = set()
    height, width = labels.shape
    for y, x in np.ndindex(labels.shape):
        for step in range(1, reach + 1):
            for dy, dx in ((0, step), (step, 0), (step, step), (step, -step)):
                if y + dy < height and 0 <= x + dx < width:
                    first, second = int(labels[y, x]), int(labels[y + dy, x + dx])
                    if first and second and first != second:
                        pairs.add((min(first, second), max(first, second)))
    return pairs


LABELS = arrays(np.int32, st.tuples(st.integers(1, 7), st.integers(1, 7)), elements=st.integers(0, 9))


@given(LABELS, st.integers(1, 3))
def test_neighbours_agree_with_brute_force(labels: np.ndarray, reach: int) -> None:
    assert set(map(tuple, neighbours(labels, reach).tolist())) == brute_force(labels, reach)


@given(LABELS, st.integers(1, 4))
def test_neighbours_differ_and_objects_have_one_colour(labels: np.ndarray, wished: int) -> None:
    colours = neighbour_colours(labels, wished=wished)
    assert ((colours == 0) == (labels == 0)).all()
    of = {int(name): set(colours[labels == name].tolist()) for name in np.unique(labels)}
    assert all(len(found) == 1 for found in of.values())
    assert all(of[first] != of[second] for first, second in brute_force(labels, 2))


def test_large_ids() -> None:
    labels = np.array([[2**40, 2**40, 7, 7]])
    assert neighbour_colours(labels).tolist() == [[2, 2, 1, 1]]


def test_colours_are_used_evenly() -> None:
    labels = np.zeros((1, 400), np.int32)
    labels[0, ::10] = np.arange(1, 41)
    counts = np.bincount(neighbour_colours(labels)[0])[1:]
    assert len(counts) == 7
    assert counts.max() - counts.min() <= 1
