"""Linkers: perfect slices of volumes give the objects of the volume again; edge cases have defined results."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import label as sk_label
from skimage.metrics import adapted_rand_error

from anyscope.errors import BadInput
from anyscope.instances import LINKERS, MulticutLinker, OverlapLinker, build_linker
from anyscope.instances.linking.overlap import assigned
from anyscope.instances.linking.tables import Overlaps, SliceTables, slice_tables

from ..objects import neurites, same_partition, voronoi

ALL = [OverlapLinker(), OverlapLinker(rule="assignment"), MulticutLinker(), MulticutLinker(similarity="iou", bias=0.2)]
every_linker = pytest.mark.parametrize("linker", ALL, ids=["branching", "assignment", "multicut", "multicut-iou"])


def slices_of(labels, seed=None):
    """Components of every slice, numbered from 1 in each, in random order with large gaps where there is a seed."""
    planes = []
    for z, plane in enumerate(labels):
        found = sk_label(plane, connectivity=1)
        if seed is not None:
            rng = np.random.default_rng([seed, z])
            names = np.concatenate([[0], rng.permutation(3 * found.max())[: found.max()] + 70_000])
            found = names[found]
        planes.append(found)
    return np.stack(planes)


@every_linker
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 15), background=st.booleans())
def test_perfect_slices_of_a_volume_give_the_volume(linker, seed, n, background):
    """What it needs: objects run through the slices, so that each covers itself from one to the next."""
    volume = neurites((16, 48, 48), n, seed, background=background, ends=0.0)
    reference = sk_label(volume, connectivity=1)
    linked = linker(slices_of(reference, seed))
    assert linked.dtype == np.uint32
    np.testing.assert_array_equal(linked > 0, reference > 0)
    assert adapted_rand_error(reference, linked, ignore_labels=(0,))[0] < 0.01


@every_linker
def test_ends_are_told_from_branches(linker):
    """Three in ten objects begin or end within the volume, and their neighbours take their place."""
    errors = []
    for seed in range(12):
        reference = sk_label(neurites((20, 64, 64), 25, seed, ends=0.3), connectivity=1)
        errors.append(adapted_rand_error(reference, linker(slices_of(reference)), ignore_labels=(0,))[0])
    assert np.median(errors) < 0.005
    assert np.mean(errors) < 0.02


@every_linker
def test_the_result_does_not_depend_on_the_ids_of_slices(linker):
    reference = voronoi((12, 50, 50), 20, 1)
    named = linker(slices_of(reference, 5))
    np.testing.assert_array_equal(named, linker(slices_of(reference, 5).astype(np.uint64) * 10**12))
    assert same_partition(named, linker(slices_of(reference)))
    assert np.unique(named).tolist() == list(range(named.max() + 1))


def strangers(scale=1):
    """Two objects (z, y, x) that never touch and drift by two pixels a slice. One withdraws from a corner, where the
    other one appears: as a sliver in slice 5, before it has spread to there."""
    labels = np.zeros((10, 48, 60), np.uint8)
    for z in range(10):
        labels[z, 2 * z : 2 * z + (24 if z < 5 else 14), 2:22] = 1
        labels[z, 2 * z : 2 * z + 24, 32:56] = 2
        labels[z, 2 * z + 18 : 2 * z + 22, 14 if z > 5 else 32 : 56] = 2
    labels[5, 31, 20:22] = 2
    return labels.repeat(scale, axis=1).repeat(scale, axis=2)


@pytest.mark.parametrize("scale", [1, 3])
@pytest.mark.parametrize("weigh_by_size", [True, False])
def test_a_sliver_does_not_chain_strangers(scale, weigh_by_size):
    reference = strangers(scale)
    slices = slices_of(reference)
    assert not np.any(slice_tables(slices[5:6]).contacts.pixels)  # nothing speaks against it
    linked = MulticutLinker(weigh_by_size=weigh_by_size)(slices)
    ends = [(0, 1), (0, -1), (9, 1), (9, -1)]
    left, right, left_end, right_end = (linked[z][slices[z] > 0][i if i < 0 else 0] for z, i in ends)
    assert left == left_end != right == right_end
    assert adapted_rand_error(reference, linked, ignore_labels=(0,))[0] < 0.001
    trusting = MulticutLinker(weigh_by_size=weigh_by_size, doubt=0)(slices)
    assert adapted_rand_error(reference, trusting, ignore_labels=(0,))[0] > 0.1


def test_rims_move_as_far_as_objects_drift():
    """A disc of radius r that shifts by d leaves a crescent of 2 r d pixels and takes another; both over 2 pi r."""
    y, x = np.mgrid[:120, :120]
    for shift in (0, 1, 2, 4):
        discs = np.stack([np.hypot(y - 60, x - 50 - shift * z) < 30 for z in range(4)])
        motion = slice_tables(discs.astype(np.uint8)).rim_motion_px()
        assert motion == pytest.approx(2 * shift / np.pi, rel=0.05, abs=1e-9)
        larger = discs.repeat(3, axis=1).repeat(3, axis=2).astype(np.uint8)
        assert slice_tables(larger).rim_motion_px() == pytest.approx(3 * motion)
    assert slice_tables(np.zeros((3, 4, 4), np.uint8)).rim_motion_px() == 0


def tube(depth=8):
    """Two tubes that become one and part again: (z, y, x)."""
    labels = np.zeros((depth, 12, 30), np.uint8)
    labels[:, 3:9, 2:28] = 1
    labels[:2, :, 13:18] = labels[-2:, :, 13:18] = 0
    return labels


def test_branches():
    slices = slices_of(tube())
    assert OverlapLinker()(slices).max() == 1
    assert OverlapLinker(rule="assignment")(slices).max() == 3
    assert OverlapLinker(branch_part=0.6)(slices).max() == 3
    assert MulticutLinker()(slices).max() == 1
    assert MulticutLinker(similarity="iou", bias=0.8)(slices).max() > 1


@every_linker
def test_a_neighbour_that_begins_is_no_branch(linker):
    """The upper slices have a small object where the lower ones had a large one, which goes on beside it."""
    labels = np.ones((4, 20, 20), np.uint8)
    labels[2:, :6, :6] = 2
    labels[2:, 6, :7] = labels[2:, :7, 6] = 0  # a boundary
    assert same_partition(labels, linker(slices_of(labels)))
    labels[2:, 6:11, :11] = labels[2:, :11, 6:11] = 0  # wider than a boundary: nothing says that they are two
    assert linker(slices_of(labels)).max() == (2 if linker in (ALL[1], ALL[3]) else 1)


@pytest.mark.parametrize("name", list(LINKERS))
def test_a_missing_slice_is_bridged_where_wanted(name):
    reference = np.zeros((9, 30, 30), np.uint8)
    reference[:, 2:12, 2:12], reference[:, 15:28, 15:28] = 1, 2
    slices = slices_of(reference)
    slices[4] = 0
    linked = build_linker(name, {"bridge": True})(slices)
    assert same_partition(np.where(slices > 0, reference, 0), linked)
    assert build_linker(name)(slices).max() == 4
    slices[5] = 0  # two slices are not bridged
    assert build_linker(name, {"bridge": True})(slices).max() == 4


@pytest.mark.parametrize("name", list(LINKERS))
def test_bridging_leaves_links_alone_that_need_none(name):
    reference = voronoi((10, 50, 50), 20, 4)
    slices = slices_of(reference)
    assert same_partition(build_linker(name)(slices), build_linker(name, {"bridge": True})(slices))


@pytest.mark.parametrize("name", list(LINKERS))
def test_every_linker(name):
    linker = build_linker(name)
    assert build_linker(name, json.loads(json.dumps(vars(linker)))) == linker
    assert set(linker.search) <= set(vars(linker))
    for parameter, values in linker.search.items():
        assert all(build_linker(name, {parameter: value}).describe() for value in values)
    assert "bridged" in build_linker(name, {"bridge": True}).describe()
    for shape in ((0, 4, 4), (3, 0, 0), (3, 4, 4)):
        empty = linker(np.zeros(shape, np.uint8))
        assert empty.shape == shape
        assert not empty.any()
    assert linker(np.full((4, 5, 6), 7)).tolist() == np.ones((4, 5, 6), int).tolist()
    single = linker(np.array([[[5, 5, 0, 2]]], np.int64))
    assert single.tolist() == [[[2, 2, 0, 1]]]


@pytest.mark.parametrize("name", list(LINKERS))
def test_more_objects_than_16_bits_hold(name):
    plane = np.arange(1, 300 * 300 + 1, dtype=np.uint32).reshape(300, 300)
    linked = build_linker(name)(np.stack([plane, plane[::-1, ::-1]]))
    assert linked.dtype == np.uint32
    assert linked.max() == 90_000
    np.testing.assert_array_equal(linked[0], linked[1])


@pytest.mark.parametrize("name", list(LINKERS))
def test_slices_are_read_one_after_the_other(name):
    """A generator is enough for the tables, and never are more than two slices asked for ahead."""
    reference = voronoi((10, 40, 40), 12, 0)
    slices = slices_of(reference, 2)
    linker = build_linker(name)
    numbering = linker.number(plane for plane in slices)
    np.testing.assert_array_equal(np.stack([numbering.apply(z, p) for z, p in enumerate(slices)]), linker(slices))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: OverlapLinker()(np.zeros((4, 4), int)), "axes \\(z, y, x\\)"),
        (lambda: OverlapLinker()(np.zeros((2, 4, 4))), "integers"),
        (lambda: MulticutLinker()(np.full((2, 4, 4), -1)), "negative"),
        (lambda: build_linker("overlaps"), "did you mean 'overlap'"),
        (lambda: build_linker("overlap", {"min_iou": 2}), "less than or equal to 1"),
        (lambda: build_linker("multicut", {"biass": 0.2}), "biass"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(BadInput, match=message):
        call()


def test_tables_of_a_case_worked_by_hand():
    lower, upper = np.array([[9, 9, 9, 0], [4, 4, 0, 0]]), np.array([[1, 1, 2, 2], [2, 2, 0, 2]])
    tables = slice_tables([lower, upper, np.zeros_like(lower), lower], next_but_one=True)
    assert tables.ids.tolist() == [4, 9, 1, 2, 4, 9]
    assert tables.sizes.tolist() == [2, 3, 2, 5, 2, 3]
    assert tables.starts.tolist() == [0, 2, 4, 4, 6]
    assert tables.slices.tolist() == [0, 0, 1, 1, 3, 3]
    shared = zip(tables.next.lower, tables.next.upper, tables.next.pixels, strict=True)
    assert [tuple(map(int, each)) for each in shared] == [(0, 3, 2), (1, 2, 2), (1, 3, 1)]
    np.testing.assert_allclose(tables.iou(tables.next), [2 / 5, 2 / 3, 1 / 7])
    np.testing.assert_allclose(tables.share_of_smaller(tables.next), [1, 1, 1 / 3])
    np.testing.assert_allclose(tables.share_of_larger(tables.next), [2 / 5, 2 / 3, 1 / 5])
    assert tables.second is not None
    assert tables.second.lower.tolist() == [2, 3, 3]
    assert tables.second.upper.tolist() == [5, 4, 5]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(1, 5))
def test_assignment_is_the_best_of_all(seed, n, m):
    rng = np.random.default_rng(seed)
    lower, upper = np.nonzero(rng.random((n, m)) < 0.6)
    worth = rng.random(lower.size) + 0.01
    tables = SliceTables(np.zeros(n + m, np.uint64), np.ones(n + m, int), np.array([0, n, n + m]), *[None] * 3)
    among = rng.random(lower.size) < 0.8
    chosen = assigned(Overlaps(lower, upper + n, worth), worth, among, tables)
    assert not (chosen & ~among).any()
    assert len(set(lower[chosen])) == len(set(upper[chosen])) == chosen.sum()
    best = 0.0
    for partners in itertools.product([None, *range(m)], repeat=n):
        taken = [j for j in partners if j is not None]
        if len(taken) == len(set(taken)):
            pairs = [np.flatnonzero((lower == i) & (upper == j) & among) for i, j in enumerate(partners)]
            best = max(best, sum(worth[pair].sum() for pair in pairs))
    assert worth[chosen].sum() == pytest.approx(best)
