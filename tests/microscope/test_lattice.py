from __future__ import annotations

import cc3d
import numpy as np
import pytest

from anyscope.geometry import Roi
from anyscope.metrics import contingency
from anyscope.microscope.lattice import LONGEST, PITCH, Lattice

SHAPE = (90, 170, 210)


@pytest.fixture(scope="module")
def labels():
    return Lattice(3, SHAPE).labels(Roi.whole(SHAPE))


def test_every_region_can_be_rendered_alone(labels):
    lattice = Lattice(3, SHAPE)
    grey = lattice.image(Roi.whole(SHAPE), labels)
    for region in (Roi((7, 30, 41), (60, 101, 120)), Roi((85, 0, 0), (90, 170, 9))):
        part = lattice.labels(region)
        np.testing.assert_array_equal(part, labels[region.slices])
        np.testing.assert_array_equal(lattice.image(region, part), grey[region.slices])


def test_an_id_is_one_object_and_objects_do_not_touch(labels):
    pieces = cc3d.connected_components(labels > 0, connectivity=26)
    table = contingency(labels, pieces.astype(np.uint32))
    assert len(table.rows) == len(table.reference_ids) == len(table.prediction_ids) > 15


def test_some_objects_cross_several_cells_and_all_are_whole():
    lattice = Lattice(0, (40, 80, 640))
    boxes = cc3d.statistics(lattice.labels(Roi.whole(lattice.shape)))["bounding_boxes"]
    lengths = [box[2].stop - box[2].start for box in boxes[1:] if box and box[2].stop > box[2].start]
    assert 2 * PITCH < max(lengths) <= LONGEST * PITCH
    edges = lattice.labels(Roi.whole(lattice.shape))
    assert not any(np.take(edges, at, axis).any() for axis in range(3) for at in (0, -1))


def test_grey_levels_tell_objects_from_background(labels):
    grey = Lattice(3, SHAPE).image(Roi.whole(SHAPE), labels)
    inside, outside = grey[labels > 0], grey[labels == 0]
    assert 80 < inside.mean() - outside.mean() < 110
    assert 10 < outside.std() < 20
    assert not np.array_equal(labels, Lattice(4, SHAPE).labels(Roi.whole(SHAPE)))
