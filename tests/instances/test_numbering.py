"""Compact numbers of objects."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from anyscope.instances import compact, smallest_dtype

labels_3d = npst.arrays(np.uint16, npst.array_shapes(min_dims=1, max_dims=3, max_side=9), elements=st.integers(0, 400))


@given(labels_3d, st.integers(0, 4))
def test_compact_keeps_order_and_drops_small_objects(labels, min_size_px):
    ids, sizes = np.unique(labels[labels > 0], return_counts=True)
    kept = ids[sizes >= min_size_px]
    expected = np.zeros(labels.shape, int)
    for number, old in enumerate(kept, start=1):
        expected[labels == old] = number
    found = compact(labels, min_size_px)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == smallest_dtype(len(kept))


def test_dtype_can_be_chosen():
    assert compact(np.array([0, 5]), dtype=np.uint64).dtype == np.uint64
