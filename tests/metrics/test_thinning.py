"""Border thinning: by hand, and what must hold for any labels."""

from __future__ import annotations

import numpy as np
from hypothesis import given

from anyscope.metrics.thinning import thin_borders

from .label_images import cells, label_pairs


def neighbours(plane, y, x):
    around = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
    return {int(plane[p]) for p in around if 0 <= p[0] < plane.shape[0] and 0 <= p[1] < plane.shape[1]} - {0}


def test_a_thick_border_by_hand():
    labels = np.array([[1, 0, 0, 0, 0, 2], [1, 0, 0, 0, 0, 2], [0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]])
    thin = thin_borders(labels)
    assert ((thin == 0).sum(axis=1) == 1).all()
    assert thin[0].tolist() in ([1, 1, 1, 0, 2, 2], [1, 1, 0, 2, 2, 2])


@given(label_pairs(highest=3))
def test_labels_stay_and_what_remains_separates(pair):
    labels = pair[0]
    thin = thin_borders(labels)
    assert (thin[labels != 0] == labels[labels != 0]).all()
    for plane, before in zip(thin, labels, strict=True):
        if not before.any():
            assert not plane.any()
            continue
        for y, x in np.argwhere(plane == 0):
            # A border pixel has two labels beside it, or lies behind border pixels only.
            assert len(neighbours(plane, y, x)) != 1
        for y, x in np.argwhere((plane != 0) & (before == 0)):
            assert neighbours(plane, y, x) <= {int(plane[y, x])}


def test_thin_borders_stay_as_they_are():
    labels = np.kron(np.arange(1, 10).reshape(3, 3), np.ones((6, 6), int))
    labels[::6] = labels[:, ::6] = 0
    labels = labels[1:, 1:]
    assert (thin_borders(labels) == labels).all()


def test_slices_do_not_grow_into_each_other():
    labels = np.zeros((2, 5, 5), np.uint16)
    labels[0, 2, 2] = 7
    thin = thin_borders(labels)
    assert (thin[0] == 7).all()
    assert not thin[1].any()


def test_growth_is_by_distance():
    labels = cells(3)
    seeds = np.zeros_like(labels)
    seeds[10, 10], seeds[10, 50] = 1, 2
    thin = thin_borders(seeds[:21, :61])
    assert (thin[:, :30] == 1).all()
    assert (thin[:, 30] == 0).all()
    assert (thin[:, 31:] == 2).all()
