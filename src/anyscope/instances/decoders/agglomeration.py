"""Objects joined from many small fragments, by what lies between the fragments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict

from anyscope.contracts import Labels, Offset
from anyscope.errors import BadInput
from anyscope.images.components import Ids, Mask, components
from anyscope.instances.decoders.affinities import (
    channels_of,
    check_affinities,
    cut_boundary,
    held_together,
    neighbour_links,
)
from anyscope.instances.decoders.base import CHECKED, DECODERS, Probability, Sigma
from anyscope.instances.decoders.finishing import GROWTHS, SIZES, ObjectParameters
from anyscope.instances.decoders.regions import Map, add_unseeded, distance_to, distance_within, flood, place, smooth
from anyscope.instances.maps import Maps, check_maps, foreground_probability
from anyscope.instances.multicut import log_odds, multicut

_CERTAIN = 1e-3
"""Affinities are held this far from 0 and 1, where their log-odds end."""
_FAINT = np.float32(1e-3)


@dataclass(frozen=True)
class Between:
    """What tells fragments from each other.

    Args:
        boundary: How much of a boundary each pixel is (z, y, x).
        links: Affinity with the next pixel along each axis (dimensions, z, y, x); None where only a boundary is known.
    """

    boundary: Map
    links: Map | None


@DECODERS.register("agglomeration")
@dataclass(frozen=True)
class Agglomeration(ObjectParameters):
    """Fragments of a watershed, joined where the affinity between them is high on average.

    Fragments grow within the mask from the peaks of the distance to the boundary. Neighbours are then joined, those
    with the highest mean affinity first and means taken anew after each joining, until none is above ``join_above``
    (``mean``); or all at once, so that the sum over the joined pairs of the size of their contact times the log-odds of
    its affinity against ``join_above`` is large (``multicut``).

    With ``offsets`` the affinities of neighbouring pixels are read; without, the affinity is 1 - the boundary map.
    Fragments that no chain of neighbours with affinities above ``least_affinity`` holds together fall apart: an object
    without an interior has no seed, and would be flooded from beside.

    Args:
        offsets: (dz, dy, dx) of each affinity channel; empty reads the boundary map.
        threshold: Mask above it.
        join_above: Mean affinity above which fragments belong together.
        method: ``mean`` or ``multicut``.
        least_affinity: Of neighbours within a fragment, where affinities are read.
        seed_boundary: The distance is that to boundaries above it.
        seed_smoothing_px: Gaussian over this distance within slices: more gives fewer, larger fragments.

    Source: fragments and mean affinity as in Funke et al., IEEE TPAMI 41:1669 (2019); average linkage is GASP's
    (Bailoni et al., CVPR 2022); multicut as in Beier et al., Nature Methods 14:101 (2017), solved by Kernighan-Lin.
    """

    name: ClassVar[str] = "agglomeration"
    search: ClassVar[Mapping[str, Sequence[Any]]] = {
        # together: without fragments nothing can be joined, and fragments joined at once look like none
        "seed_boundary,join_above": tuple(product((0.1, 0.3, 0.5), (0.3, 0.5, 0.7, 0.8, 0.85, 0.9, 0.95))),
        "join_above": (0.6, 0.65, 0.75),
        "threshold": (0.3, 0.5, 0.7),
        "small,min_size_px": SIZES,
        "grow": GROWTHS,
    }
    __pydantic_config__: ClassVar[ConfigDict] = CHECKED

    offsets: tuple[Offset, ...] = field(default=(), kw_only=True)
    threshold: Probability = 0.5
    join_above: Probability = 0.5
    method: Literal["mean", "multicut"] = "mean"
    least_affinity: Probability = 0.1
    seed_boundary: Probability = 0.5
    seed_smoothing_px: Sigma = 1.0

    def __post_init__(self) -> None:
        if self.offsets:
            channels_of(self.name, self.offsets, self.dimensions)

    def __call__(self, maps: Maps) -> Labels:
        check_maps(maps)
        between = self._between(maps)
        mask = foreground_probability(maps) > self.threshold
        fragments = self._fragments(between, mask)
        if self.dimensions == 3:
            labels = self._joined(fragments, between.boundary, between.links)
            return self.finished(labels, between.boundary)
        labels, n = np.zeros_like(fragments), 0
        for z, plane in enumerate(fragments):
            links = None if between.links is None else between.links[:, z]
            inside, joined = plane > 0, self._joined(_from_one(plane), between.boundary[z], links)
            labels[z][inside] = joined[inside] + n
            n += int(joined.max(initial=0))
        return self.finished(labels, between.boundary)

    def _between(self, maps: Maps) -> Between:
        if self.offsets:
            check_affinities(self.name, self.offsets, maps)
            channels = channels_of(self.name, self.offsets, self.dimensions)
            links = neighbour_links(maps["affinities"], self.offsets, channels, self.dimensions)
            return Between(cut_boundary(links), links)
        if "boundary" not in maps:
            found = f"heads {', '.join(maps)}, no offsets"
            raise BadInput("decoder 'agglomeration'", found, "a boundary, or affinities and their offsets")
        return Between(maps["boundary"], None)

    def _fragments(self, between: Between, mask: Mask) -> Ids:
        """More fragments than objects, numbered in the volume, none across the mask's edge."""
        from scipy.ndimage import maximum_filter

        inside = mask & (between.boundary <= self.seed_boundary)
        # Without any boundary the distance is infinite, and the whole a single peak.
        depth = np.nan_to_num(distance_within(inside, self.dimensions, self.anisotropy), posinf=1.0)
        depth = np.where(inside, smooth(depth, self.seed_smoothing_px), 0)
        around = (3, 3, 3) if self.dimensions == 3 else (1, 3, 3)
        peaks = inside & (depth >= maximum_filter(depth, around, mode="nearest"))
        seeds = components(peaks, self.dimensions, self.dimensions)
        if between.links is None:
            # Down to the peaks inside, up to the crest outside: where the boundary is flat, the nearest wins.
            away = np.nan_to_num(distance_to(inside, self.dimensions, self.anisotropy), posinf=0.0)
            labels = flood(between.boundary + _FAINT * (away - depth), seeds, mask, self.dimensions)
        else:
            labels = _flood_links(between.links, seeds, mask, self.dimensions)
        add_unseeded(labels, mask, self.dimensions)
        if between.links is not None:
            labels = held_together(labels, between.links, self.least_affinity, self.dimensions)
        return labels

    def _joined(self, fragments: Ids, boundary: Map, links: Map | None) -> Ids:
        """Fragments 1..n of a slice or a volume, joined; numbers up to that of the fragments."""
        from bioimage_cpp import graph

        if fragments.size == 0 or fragments.max() < 2:
            return fragments
        regions = graph.region_adjacency_graph(fragments, number_of_threads=1)
        if links is None:
            measured = graph.features.edge_map_features(regions, fragments, boundary, number_of_threads=1)
            affinity, sizes = 1 - measured[:, 0], measured[:, 1]
        else:
            steps = np.eye(len(links), dtype=int).tolist()
            measured = graph.features.affinity_features(regions, fragments, links, steps, number_of_threads=1)
            affinity, sizes = measured[:, 0], measured[:, 1]
        pairs = regions.uv_ids()
        real = pairs[:, 0] > 0  # node 0 is what lies outside the mask
        if not real.any():
            return fragments
        edges = graph.UndirectedGraph.from_unique_edges(regions.number_of_nodes, pairs[real])
        solve = _mean_linkage if self.method == "mean" else _multicut
        nodes = solve(edges, affinity[real], sizes[real], self.join_above)
        # Node 0 has no edges; wherever its number stands among the others, it is 0 again.
        _, numbers = np.unique(nodes[1:], return_inverse=True)
        return np.concatenate([[0], numbers + 1]).astype(np.uint32)[fragments]

    def describe(self) -> str:
        source = "affinities" if self.offsets else "the boundary"
        joined = "joined by mean affinity" if self.method == "mean" else "joined by multicut at an affinity"
        return (
            f"fragments {place(self.dimensions)} of the mask above {self.threshold:g} by {source}, {joined} above "
            f"{self.join_above:g}{self.finish_in_words()}"
        )


def _mean_linkage(
    edges: Any, affinity: NDArray[np.float64], sizes: NDArray[np.float64], join_above: float
) -> NDArray[np.uint64]:
    """Clusters of nodes, the pair with the highest mean affinity joined first while it exceeds the threshold."""
    from bioimage_cpp.graph.agglomeration import GaspClusterPolicy

    policy = GaspClusterPolicy(linkage="mean")
    return np.asarray(policy.optimize(edges, affinity - join_above, edge_sizes=sizes), np.uint64)


def _multicut(
    edges: Any, affinity: NDArray[np.float64], sizes: NDArray[np.float64], join_above: float
) -> NDArray[np.uint64]:
    """Clusters of nodes whose inner edges have a large sum of size times log-odds."""
    return multicut(edges, sizes * log_odds(affinity, join_above, _CERTAIN))


def _flood_links(links: Map, seeds: Ids, mask: Mask, dimensions: int) -> Ids:
    """Seeds grown along the strongest links within the mask."""
    from bioimage_cpp.segmentation import watershed_from_affinities

    steps = np.eye(dimensions, dtype=int).tolist()
    if dimensions == 3:
        return np.asarray(watershed_from_affinities(links, steps, seeds, mask=mask), np.uint32)
    found = [
        watershed_from_affinities(links[:, z], steps, seeds[z], mask=mask[z]) if seeds[z].any() else seeds[z]
        for z in range(len(seeds))
    ]
    return np.stack(found).astype(np.uint32, copy=False)


def _from_one(plane: Ids) -> Ids:
    """Numbers of a slice from 1, its background 0: those of the slices before it are no nodes of its graph."""
    inside = plane > 0
    if not inside.any():
        return plane
    return np.where(inside, plane - (plane[inside].min() - 1), 0).astype(np.uint32)
