from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from anyscope.geometry import Roi
from anyscope.volumes.grid import BlockGrid, Lattice

triples = st.tuples(st.integers(1, 9), st.integers(1, 40), st.integers(1, 40))
margins = st.tuples(st.integers(0, 3), st.integers(0, 9), st.integers(0, 9))
lattices = st.builds(Lattice, st.sampled_from([1, 2, 8]), st.sampled_from([1.0, 0.5, 2.0, 0.37]))


@given(triples, triples, margins, margins, st.tuples(lattices, lattices))
def test_cores_cover_a_volume_once_and_regions_contain_each_other(shape, core, overlap, context, at):
    grid = BlockGrid(shape, core, overlap, context, at)
    covered = np.zeros(shape, int)
    for block in grid.blocks():
        covered[block.core.slices] += 1
        assert block.decoded.intersect(block.core) == block.core
        assert block.read.intersect(block.decoded) == block.decoded
        assert Roi.whole(shape).intersect(block.read) == block.read
        for axis, by in enumerate(overlap):
            assert block.decoded.start[axis] == max(0, block.core.start[axis] - by)
            assert block.read.start[axis] <= max(0, block.decoded.start[axis] - context[axis])
    assert (covered == 1).all()


@given(triples, triples, margins, margins, st.sampled_from([1, 2, 8]))
def test_reading_starts_and_ends_with_the_stride_and_is_counted_right(shape, core, overlap, context, stride):
    grid = BlockGrid(shape, core, overlap, context, (Lattice(stride), Lattice(stride)))
    total = 0
    for block in grid.blocks():
        for axis in (1, 2):
            assert block.read.start[axis] % stride == 0
            assert block.read.stop[axis] % stride == 0 or block.read.stop[axis] == shape[axis]
        _, y, x = block.read.shape
        total += block.decoded.shape[0] * y * x
    assert grid.predicted() == total
    reads = [block.read.shape for block in grid.blocks()]
    assert grid.largest_read() == tuple(max(lengths) for lengths in zip(*reads, strict=True))


@given(triples, triples)
def test_neighbours_are_found_from_one_side_only(shape, core):
    grid = BlockGrid(shape, core)
    pairs = {(number, other) for number in range(len(grid)) for other, _ in grid.later_neighbours(number)}
    assert all(first < second for first, second in pairs)
    places = [grid.place(number) for number in range(len(grid))]
    near = {
        (a, b)
        for a, one in enumerate(places)
        for b, two in enumerate(places)
        if a < b and max(abs(i - j) for i, j in zip(one, two, strict=True)) == 1
    }
    assert pairs == near
    assert [grid.number(place) for place in places] == list(range(len(grid)))


def test_blocks_of_a_region():
    grid = BlockGrid((4, 10, 10), (4, 5, 5))
    assert list(grid.meeting(Roi((0, 4, 0), (1, 6, 5)))) == [0, 2]
    assert list(grid.meeting(Roi((0, 0, 0), (4, 10, 10)))) == [0, 1, 2, 3]


@given(st.integers(0, 5000), st.sampled_from([0.37, 0.5, 1 / 3, 2.7]), st.sampled_from([1, 4, 16]))
def test_positions_on_another_grid_are_nearly_whole_working_pixels(position, scale, stride):
    lattice = Lattice(stride, scale)
    for found in (lattice.below(position), lattice.above(position)):
        working = found * scale
        assert found == 0 or abs(working - round(working / stride) * stride) <= scale / 4 + 1e-6
    assert lattice.below(position) <= position <= lattice.above(position)
