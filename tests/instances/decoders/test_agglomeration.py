"""Agglomeration: clusters equal those of the definitions; boundary maps give the objects that they surround."""

import itertools

import numpy as np
import pytest
from bioimage_cpp.graph import UndirectedGraph
from hypothesis import given, settings
from hypothesis import strategies as st

from anyscope.instances import Agglomeration
from anyscope.instances.decoders.agglomeration import _mean_linkage, _multicut
from anyscope.instances.multicut import log_odds

from ..objects import OFFSETS_2D, cells, perfect_maps
from .test_decoders import same_objects


def random_graph(seed, n, density):
    rng = np.random.default_rng(seed)
    pairs = np.array([pair for pair in itertools.combinations(range(n), 2) if rng.random() < density] or [(0, 1)])
    return pairs, rng.random(len(pairs)), rng.integers(1, 20, len(pairs)).astype(float)


def clusters(nodes):
    return {frozenset(np.flatnonzero(nodes == node).tolist()) for node in np.unique(nodes)}


def mean_linkage_by_definition(n, pairs, affinity, sizes, join_above):
    groups = [{node} for node in range(n)]
    while True:
        best, chosen = join_above, None
        for a, b in itertools.combinations(range(len(groups)), 2):
            between = [
                i for i, (u, v) in enumerate(pairs)
                if (u in groups[a] and v in groups[b]) or (v in groups[a] and u in groups[b])
            ]  # fmt: skip
            if between:
                mean = np.average(affinity[between], weights=sizes[between])
                if mean > best:
                    best, chosen = mean, (a, b)
        if chosen is None:
            return {frozenset(group) for group in groups}
        groups[chosen[0]] |= groups.pop(chosen[1])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 9), st.sampled_from([0.3, 0.5, 0.7]))
def test_mean_linkage_equals_its_definition(seed, n, join_above):
    pairs, affinity, sizes = random_graph(seed, n, 0.5)
    edges = UndirectedGraph.from_unique_edges(n, pairs.astype(np.uint64))
    found = clusters(_mean_linkage(edges, affinity, sizes, join_above))
    assert found == mean_linkage_by_definition(n, pairs, affinity, sizes, join_above)


@pytest.mark.parametrize("seed", range(12))
def test_multicut_joins_the_largest_sum(seed):
    n = 7
    pairs, affinity, sizes = random_graph(seed, n, 0.6)
    worth = sizes * log_odds(affinity, 0.4, 1e-3)
    edges = UndirectedGraph.from_unique_edges(n, pairs.astype(np.uint64))

    def joined(nodes):
        return worth[nodes[pairs[:, 0]] == nodes[pairs[:, 1]]].sum()

    best = max(joined(np.array(nodes)) for nodes in itertools.product(range(4), repeat=n))
    found = joined(_multicut(edges, affinity, sizes, 0.4))
    assert found >= best - 1e-9 or found > 0.99 * best  # it is a heuristic; four groups are enough for most optima


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 40), st.sampled_from(["mean", "multicut"]))
def test_perfect_boundaries_give_the_objects(seed, n, method):
    """Up to which side of a boundary a pixel of it belongs to. Needs objects with an interior in one piece."""
    reference = cells((96, 120), n, seed)[None]
    labels = Agglomeration(method=method, min_size_px=32)(perfect_maps(reference, ("mask", "boundary")))
    assert same_objects(reference, labels, 0.03)


def test_fragments_of_a_volume_are_joined_across_slices():
    plane = cells((60, 60), 9, 0)
    reference = np.stack([plane] * 4)
    maps = perfect_maps(reference, ("mask", "boundary"))
    labels = Agglomeration(dimensions=3, min_size_px=32)(maps)
    assert same_objects(reference, labels, 0.03)
    assert Agglomeration(min_size_px=32)(maps).max() == 4 * labels.max()


def test_a_gap_in_a_boundary_does_not_merge():
    """Where components of the mask would join two objects, the mean over their whole contact keeps them apart."""
    boundary = np.zeros((1, 40, 60), np.float32)
    boundary[0, :, 29:31] = 1
    boundary[0, 18:22, 29:31] = 0
    maps = {"mask": np.ones_like(boundary), "boundary": boundary}
    labels = Agglomeration()(maps)
    assert labels.max() == 2
    assert labels[0, 0, 0] != labels[0, 0, 59]
    assert Agglomeration(join_above=0.05)(maps).max() == 1


def test_affinities_that_are_half_certain_follow_the_threshold():
    affinities = np.full((10, 1, 30, 30), 0.9, np.float32)
    affinities[1, 0, :, 15] = 0.4
    maps = {"mask": np.ones((1, 30, 30), np.float32), "affinities": affinities}
    for method in ("mean", "multicut"):
        for join_above, n in ((0.3, 1), (0.6, 2)):
            decoder = Agglomeration(offsets=OFFSETS_2D, join_above=join_above, method=method, seed_boundary=0.5)
            assert decoder(maps).max() == n
