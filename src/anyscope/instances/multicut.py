"""The multicut: which of many things belong together, from what speaks for and against every pair of them.

The pairs are edges of a graph, each with what it is worth to join its ends: the log-odds that they are one, times how
much evidence there is. The partition that joins the largest sum is sought; pairs without an edge cost nothing.

Source: Kappes et al., EMMCVPR 2011; log-odds as in Andres et al., ECCV 2012.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


def log_odds(probability: Values, against: float, certain: float) -> Values:
    """log(p / (1 - p)) - log(b / (1 - b)): above 0 where p is above b.

    Args:
        probability: p, in 0..1.
        against: b, in 0..1.
        certain: p and b are held this far from 0 and 1, where log-odds end.
    """
    held = np.clip(np.asarray(probability, np.float64), certain, 1 - certain)
    even = np.clip(np.float64(against), certain, 1 - certain)
    return np.asarray(np.log(held / (1 - held)) - np.log(even / (1 - even)), np.float64)


def multicut(edges: Any, worth: Values) -> NDArray[np.uint64]:
    """The group of each node, such that joined edges are worth much: a local optimum, the same in every run.

    Args:
        edges: ``bioimage_cpp.graph.UndirectedGraph``.
        worth: (edges,) of joining its ends, in the order of the edges.

    Source: decomposition into the components of positive edges as in Alush and Goldberger, SIMBAD 2013; each solved by
    Kernighan-Lin from a greedy start, Keuper et al., ICCV 2015.
    """
    from bioimage_cpp.graph.multicut import KernighanLinMulticut, MulticutDecomposer, MulticutObjective

    solver = MulticutDecomposer(KernighanLinMulticut(), number_of_threads=1)
    return np.asarray(solver.optimize(MulticutObjective(edges, worth)), np.uint64)
