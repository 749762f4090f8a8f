"""Protocols that compare partitions: neurites that touch everywhere."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np

from anyscope.metrics.partition import PartitionSums
from anyscope.metrics.protocols.base import Numbers


def sums_array(sums: PartitionSums) -> Numbers:
    """As an array that can be pooled."""
    return np.array(astuple(sums), np.float64)


def stored_sums(array: Numbers) -> PartitionSums:
    """The inverse of :func:`sums_array`."""
    return PartitionSums(*array.tolist())
