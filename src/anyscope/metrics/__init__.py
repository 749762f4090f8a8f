"""From one contingency pass to every score; morphology; protocols."""

from __future__ import annotations

from anyscope.metrics.contingency import Contingency, contingency, merge
from anyscope.metrics.evaluation import Evaluation, Pair, evaluate_counts, evaluate_pairs
from anyscope.metrics.morphology import densities, morphology
from anyscope.metrics.protocols import PROTOCOLS, Counts, EvaluationProtocol, default_protocol

__all__ = [
    "Contingency",
    "contingency",
    "merge",
    "PROTOCOLS",
    "default_protocol",
    "EvaluationProtocol",
    "Counts",
    "Pair",
    "Evaluation",
    "evaluate_pairs",
    "evaluate_counts",
    "morphology",
    "densities",
]
