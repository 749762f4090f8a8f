"""The contingency against a dictionary of counted pairs, and its algebra."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from anyscope.errors import BadInput
from anyscope.metrics import contingency as package_function
from anyscope.metrics import merge
from anyscope.metrics.contingency import BLOCK_PIXELS, Contingency, contingency

from .label_images import label_pairs

Counted = dict[tuple[int, int], int]
MODULE = importlib.import_module("anyscope.metrics.contingency")
LARGE = 10**6
"""A factor on ids that makes the table far too large to be dense."""


@pytest.fixture(autouse=True, scope="module", params=["compiled", "numpy"])
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    """Every test runs with the compiled loops and with what replaces them on small images."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MODULE, "SMALL_PIXELS", 0 if request.param == "compiled" else 10**9)
        yield request.param


def counted(table: Contingency) -> Counted:
    pairs = zip(table.reference_ids[table.rows].tolist(), table.prediction_ids[table.cols].tolist(), strict=True)
    return dict(zip(pairs, table.counts.tolist(), strict=True))


def expected(reference: NDArray[np.integer], prediction: NDArray[np.integer]) -> Counted:
    return dict(Counter(zip(reference.ravel().tolist(), prediction.ravel().tolist(), strict=True)))


def assert_consistent(table: Contingency) -> None:
    pairs = list(counted(table))
    assert pairs == sorted(pairs)
    assert (table.counts > 0).all()
    assert np.bincount(table.rows, table.counts, table.reference_ids.size).tolist() == table.reference_sizes.tolist()
    assert np.bincount(table.cols, table.counts, table.prediction_ids.size).tolist() == table.prediction_sizes.tolist()


@given(label_pairs(), st.sampled_from([1, LARGE, 10**13]), st.sampled_from([1, LARGE, 10**13]))
def test_counts_are_those_of_a_dictionary_on_every_path(pair, reference_factor, prediction_factor):
    reference, prediction = pair[0] * reference_factor, pair[1] * prediction_factor
    table = contingency(reference, prediction)
    assert counted(table) == expected(reference, prediction)
    assert table.total == reference.size
    assert_consistent(table)


@given(label_pairs())
def test_sparse_path_equals_dense_path(pair):
    dense, sparse = contingency(*pair), contingency(pair[0] * LARGE, pair[1])
    assert (dense.reference_ids * np.uint64(LARGE)).tolist() == sparse.reference_ids.tolist()
    for name in ("rows", "cols", "counts", "reference_sizes", "prediction_sizes", "prediction_ids"):
        assert getattr(dense, name).tolist() == getattr(sparse, name).tolist()


@given(label_pairs(), st.integers(0, 6))
def test_chunks_add_up_to_the_whole(pair, cut):
    reference, prediction = pair
    chunks = [contingency(reference[..., :cut], prediction[..., :cut])] if cut else []
    chunks.append(contingency(reference[..., cut:], prediction[..., cut:]))
    assert counted(merge(chunks)) == counted(contingency(reference, prediction))
    assert_consistent(merge(chunks))


def test_merging_nothing_gives_an_empty_table():
    assert merge([]).total == 0


@given(label_pairs(), st.sets(st.integers(0, 5)), st.sampled_from([1, LARGE]), st.data())
def test_ignored_labels_and_invalid_pixels_are_not_counted(pair, ignore, factor, data):
    reference, prediction = pair[0], pair[1] * factor
    valid = np.array(data.draw(st.lists(st.booleans(), min_size=reference.size, max_size=reference.size)))
    valid = valid.reshape(reference.shape)
    scored = valid & ~np.isin(reference, list(ignore))
    table = contingency(reference, prediction, ignore, valid)
    assert counted(table) == expected(reference[scored], prediction[scored])
    assert_consistent(table)


@pytest.mark.parametrize("kind", ["?", "i1", "u1", "i2", ">u2", "u4", "i4", ">i8", "i8", "u8"])
@pytest.mark.parametrize("other", ["u1", "i8"])
def test_dtypes_are_counted_alike(kind, other):
    reference, prediction = np.random.default_rng(0).integers(0, 2, (2, 3, 20, 20))
    table = contingency(reference.astype(kind), prediction.astype(other))
    assert counted(table) == expected(reference, prediction)


@pytest.mark.parametrize("factor", [1, LARGE])
@pytest.mark.parametrize(
    "view",
    [
        pytest.param(lambda a: np.asfortranarray(a), id="fortran"),
        pytest.param(lambda a: a[:, ::2, ::-1], id="strided"),
        pytest.param(lambda a: a.transpose(2, 0, 1), id="transposed"),
        pytest.param(lambda a: np.broadcast_to(a[:1], a.shape), id="broadcast"),
        pytest.param(lambda a: a[:0], id="empty"),
    ],
)
def test_memory_layouts_are_counted_alike(view, factor):
    reference, prediction = np.random.default_rng(1).integers(0, 5, (2, 4, 30, 20)) * factor
    reference, prediction = view(reference), view(prediction)
    assert counted(contingency(reference, prediction)) == expected(reference, prediction)
    plain = np.ascontiguousarray(prediction)
    assert counted(contingency(reference, plain)) == expected(reference, prediction)


@pytest.mark.parametrize("factor", [1, LARGE])
@pytest.mark.parametrize("contiguous", [True, False])
def test_many_blocks_and_threads_give_the_same(contiguous, factor):
    rng = np.random.default_rng(2)
    reference, prediction = rng.integers(0, 40, (2, 2, 600, 2 * 600)).astype(np.int64) * factor
    if not contiguous:
        reference, prediction = reference[..., ::2], prediction[..., 1::2]
    assert reference.size > 4 * BLOCK_PIXELS
    valid = rng.random(reference.shape) < 0.5
    one, four = (contingency(reference, prediction, valid=valid, threads=threads) for threads in (1, 4))
    assert counted(one) == counted(four) == expected(reference[valid], prediction[valid])


def test_the_hash_table_grows():
    reference = np.arange(50_000) * 7
    prediction = reference[::-1] % 30_011
    assert counted(contingency(reference, prediction)) == expected(reference, prediction)


def test_the_largest_ids_are_kept():
    reference = np.array([2**64 - 1, 0, 5], np.uint64)
    prediction = np.array([2**63 - 1, 0, 2**63 - 1], np.int64)
    assert counted(contingency(reference, prediction)) == {
        (0, 0): 1,
        (5, 2**63 - 1): 1,
        (2**64 - 1, 2**63 - 1): 1,
    }


@settings(max_examples=30)
@given(label_pairs())
def test_inputs_are_not_changed(pair):
    before = [array.copy() for array in pair]
    contingency(*pair, ignore=[1])
    assert all((a == b).all() for a, b in zip(before, pair, strict=True))


def test_labels_can_be_dropped_on_either_side():
    table = contingency(np.array([0, 0, 1, 2]), np.array([0, 3, 3, 0]))
    assert counted(table.without_reference([0])) == {(1, 3): 1, (2, 0): 1}
    assert counted(table.without_prediction([0])) == {(0, 3): 1, (1, 3): 1}
    assert_consistent(table.without_prediction([0]))


@pytest.mark.parametrize(
    ("reference", "prediction", "valid", "words"),
    [
        (np.zeros((2, 2), int), np.zeros((2, 3), int), None, "predicted labels: shape (2, 3)"),
        (np.zeros((2, 2)), np.zeros((2, 2), int), None, "reference labels: values of type float64"),
        (np.zeros((2, 2), int), np.zeros((2, 2), complex), None, "predicted labels: values of type complex128"),
        (np.array([-1, 2]), np.array([1, 2]), None, "reference labels: negative values"),
        (np.array([1, 2]), np.array([1, -2], np.int8), None, "predicted labels: negative values"),
        (np.zeros(3, int), np.zeros(3, int), np.ones(3), "valid mask: values of type float64"),
        (np.zeros(3, int), np.zeros(3, int), np.ones(4, bool), "valid mask: shape (4,)"),
    ],
)
def test_bad_input_is_refused_in_one_line(reference, prediction, valid, words):
    with pytest.raises(BadInput) as error:
        contingency(reference, prediction, valid=valid)
    assert str(error.value).startswith(words)
    assert "\n" not in str(error.value)


def test_the_package_exports_the_function():
    assert package_function is contingency
