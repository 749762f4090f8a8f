from __future__ import annotations

import numpy as np
import pytest

from anyscope.metrics import PROTOCOLS, contingency
from anyscope.metrics.chunked import ChunkedLabels


def chunked(labels, box=(3, 7, 5)):
    return ChunkedLabels(labels.shape, labels.dtype, lambda roi: labels[roi.slices], box)


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 9, (2, 4, 4)).astype(np.uint32)
    reference = coarse.repeat(5, 0).repeat(6, 1).repeat(5, 2)
    return reference, np.where(rng.random(reference.shape) < 0.1, 0, np.roll(reference, 1, 2))


def test_counts_are_those_of_the_whole(pair):
    whole, pieces = contingency(*pair, ignore=(3,)), contingency(*map(chunked, pair), ignore=(3,))
    for name, values in vars(whole).items():
        np.testing.assert_array_equal(values, getattr(pieces, name), err_msg=name)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_gives_the_same_scores(pair, name):
    protocol = PROTOCOLS[name]
    if protocol.task == "semantic" and name != "multiclass":
        pair = tuple((labels > 4).astype(np.uint8) for labels in pair)
    whole, pieces = (protocol.scores(protocol.measure(*each)) for each in (pair, tuple(map(chunked, pair))))
    np.testing.assert_equal(pieces, whole)


def test_only_boxes_are_read(pair):
    read = []

    def reading(labels):
        def piece(roi):
            read.append(roi.size)
            return labels[roi.slices]

        return ChunkedLabels(labels.shape, labels.dtype, piece, (2, 8, 8))

    PROTOCOLS["instances"].measure(*map(reading, pair))
    assert max(read) <= 128


def test_it_looks_like_an_array(pair):
    labels, other = pair[0], chunked(pair[0])
    np.testing.assert_array_equal(other[1:3, 2:9], labels[1:3, 2:9])
    np.testing.assert_array_equal(other[4], labels[4])
    np.testing.assert_array_equal(other != 3, labels != 3)
    np.testing.assert_array_equal(np.isin(other, [1, 2]), np.isin(labels, [1, 2]))
    assert (other.max(), other.min()) == (labels.max(), labels.min())
