"""Affinities: perfect ones give perfect objects; a decoder that reads them agrees with its definition."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import label as sk_label

from anyscope.errors import BadInput
from anyscope.instances import Agglomeration, MutexWatershed
from anyscope.instances.decoders.affinities import channels_of, cut_boundary, held_together, neighbour_links

from ..objects import NEAR_2D, OFFSETS_2D, OFFSETS_3D, affinities_of, same_partition, voronoi

DECODERS_2D = [
    MutexWatershed(offsets=OFFSETS_2D, min_size_px=0),
    MutexWatershed(offsets=OFFSETS_2D, min_size_px=0, strides=(1, 1, 1)),
    Agglomeration(offsets=OFFSETS_2D, min_size_px=0),
    Agglomeration(offsets=OFFSETS_2D, min_size_px=0, method="multicut"),
]
DECODERS_3D = [
    MutexWatershed(offsets=OFFSETS_3D, min_size_px=0, dimensions=3),
    Agglomeration(offsets=OFFSETS_3D, min_size_px=0, dimensions=3),
    Agglomeration(offsets=OFFSETS_3D, min_size_px=0, dimensions=3, method="multicut", anisotropy=3),
]


def maps_of(labels, offsets):
    return {"mask": (labels > 0).astype(np.float32), "affinities": affinities_of(labels, offsets)}


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 30))
def test_perfect_affinities_give_perfect_objects_in_2d(seed, n):
    """All that is needed is that an object hangs together across faces, be it a single pixel."""
    cells = voronoi((2, 32, 40), n, seed)
    reference = np.stack([sk_label(plane, connectivity=1) for plane in cells])
    reference[1][reference[1] > 0] += reference[0].max()
    maps = maps_of(reference, OFFSETS_2D)
    for decoder in DECODERS_2D:
        assert same_partition(reference, decoder(maps)), decoder


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 20))
def test_perfect_affinities_give_perfect_objects_in_3d(seed, n):
    reference = sk_label(voronoi((5, 18, 20), n, seed), connectivity=1)
    maps = maps_of(reference, OFFSETS_3D)
    for decoder in DECODERS_3D:
        assert same_partition(reference, decoder(maps)), decoder


def mutex_watershed_by_definition(affinities, offsets, mask, bias, strides):
    """Links from the strongest to the weakest, with sets of pixels."""
    shape, links = mask.shape, []
    for k, offset in enumerate(offsets):
        near = sum(map(abs, offset)) == 1
        for p in np.ndindex(shape):
            q = tuple(np.add(p, offset))
            inside = all(0 <= a < n for a, n in zip(q, shape, strict=True))
            if inside and mask[p] and mask[q] and (near or not any(np.mod(p, strides))):
                value = float(affinities[(k, *p)])
                links.append((value + bias if near else 1 - value, near, p, q))
    group = {p: {p} for p in np.ndindex(shape) if mask[p]}
    apart = set()
    for _, near, p, q in sorted(links, key=lambda link: -link[0]):
        one, other = group[p], group[q]
        if one is other:
            continue
        forbidden = any((a, b) in apart for a in one for b in other)
        if not near:
            apart |= {(p, q), (q, p)}
        elif not forbidden:
            one |= other
            for a in other:
                group[a] = one
    labels = np.zeros(shape, int)
    for i, members in enumerate({id(s): s for s in group.values()}.values(), start=1):
        for p in members:
            labels[p] = i
    return labels


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("bias", "strides"), [(0.0, (1, 1, 1)), (0.25, (1, 2, 2)), (-0.3, (1, 1, 3))])
def test_mutex_watershed_equals_its_definition(seed, bias, strides):
    rng = np.random.default_rng(seed)
    offsets = ((0, 1, 0), (0, 0, -1), (0, 2, 0), (0, -1, 2), (0, 0, 3))
    affinities = rng.uniform(0.01, 1, (5, 1, 9, 8)).astype(np.float32)
    mask = rng.random((1, 9, 8)) > 0.1
    found = MutexWatershed(offsets=offsets, bias=bias, strides=strides, least_affinity=0.0, min_size_px=0)(
        {"mask": mask.astype(np.float32), "affinities": affinities}
    )
    expected = mutex_watershed_by_definition(affinities, offsets, mask, bias, strides)
    assert same_partition(expected, found)
    assert 1 < expected.max() < 40


def test_mutex_watershed_of_a_volume_equals_its_definition():
    rng = np.random.default_rng(0)
    offsets = ((-1, 0, 0), (0, -1, 0), (0, 0, -1), (-2, 0, 0), (-1, 2, 0), (0, 0, 2))
    maps = {
        "mask": np.ones((3, 5, 6), np.float32),
        "affinities": rng.uniform(0.01, 1, (6, 3, 5, 6)).astype(np.float32),
    }
    decoder = MutexWatershed(offsets=offsets, dimensions=3, strides=(1, 1, 1), least_affinity=0.0, min_size_px=0)
    expected = mutex_watershed_by_definition(maps["affinities"], offsets, maps["mask"] > 0, 0, (1, 1, 1))
    assert same_partition(expected, decoder(maps))


def test_links_of_both_directions_are_averaged():
    labels = voronoi((3, 6, 7), 5, 0)
    both = ((1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, 0, -1), (0, 0, 1))
    affinities = affinities_of(labels, both)
    affinities[:2] *= np.array([0.2, 0.6], np.float32)[:, None, None, None]
    links = neighbour_links(affinities, both, channels_of("x", both, 3), 3)
    along = affinities_of(labels, ((1, 0, 0), (0, 1, 0), (0, 0, 1)))
    np.testing.assert_allclose(links, along * np.array([0.4, 1, 1])[:, None, None, None], atol=1e-6)


def test_a_cut_link_is_a_boundary_on_both_sides():
    labels = np.array([[[1, 1, 1, 2, 2]]])
    links = affinities_of(labels, ((0, 1, 0), (0, 0, 1)))
    assert cut_boundary(links).tolist() == [[[0, 0, 1, 1, 0]]]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([2, 3]))
def test_held_together_equals_a_walk_along_links(seed, dimensions):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, (3, 4, 5)).astype(np.uint32)
    links = rng.random((dimensions, 3, 4, 5)).astype(np.float32)
    found = held_together(labels, links, 0.3, dimensions)
    for start in zip(*np.nonzero(labels), strict=True):
        reached, todo = {start}, [start]
        while todo:
            p = todo.pop()
            for (row, axis), step in itertools.product(enumerate(range(3 - dimensions, 3)), (1, -1)):
                q = tuple(a + step * (i == axis) for i, a in enumerate(p))
                if q in reached or not all(0 <= a < n for a, n in zip(q, labels.shape, strict=True)):
                    continue
                if labels[q] == labels[p] and links[(row, *min(p, q))] > 0.3:
                    reached.add(q)
                    todo.append(q)
        assert set(zip(*np.nonzero(found == found[start]), strict=True)) == reached
    assert len(np.unique(found[found > 0])) == found.max()


@pytest.mark.parametrize("decoder", [MutexWatershed, Agglomeration])
@pytest.mark.parametrize(
    ("offsets", "channels", "dimensions", "message"),
    [
        (OFFSETS_2D, 3, 2, "10 offsets for 3 channels; expected one offset for each"),
        (OFFSETS_2D, 10, 3, "no neighbours along z"),
        (((0, 1, 0), (0, 0, 3)), 2, 2, "no neighbours along x"),
        ((*OFFSETS_2D, (0, 0, 0)), 11, 2, "another pixel"),
    ],
)
def test_offsets_must_fit(decoder, offsets, channels, dimensions, message):
    maps = {"mask": np.ones((2, 4, 4), np.float32), "affinities": np.ones((channels, 2, 4, 4), np.float32)}
    with pytest.raises(BadInput, match=message) as caught:
        decoder(offsets=offsets, dimensions=dimensions)(maps)
    assert "\n" not in str(caught.value)


def test_what_is_missing_is_named():
    mask = {"mask": np.ones((1, 4, 4), np.float32)}
    with pytest.raises(BadInput, match="affinities beside the mask"):
        MutexWatershed(offsets=OFFSETS_2D)(mask)
    with pytest.raises(BadInput, match="none longer than 1 in 2D"):
        MutexWatershed(offsets=NEAR_2D)
    with pytest.raises(BadInput, match="a boundary, or affinities and their offsets"):
        Agglomeration()(mask)


def test_more_objects_than_16_bits_hold():
    """Every pixel is an object: nothing is linked."""
    maps = {"mask": np.ones((1, 260, 270), np.float32), "affinities": np.zeros((10, 1, 260, 270), np.float32)}
    for decoder in (DECODERS_2D[0], DECODERS_2D[2]):
        labels = decoder(maps)
        assert labels.dtype == np.uint32
        assert len(np.unique(labels)) == labels.max() == 260 * 270
