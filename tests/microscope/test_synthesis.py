"""Whole synthetic images: determinism, truth, record."""

from __future__ import annotations

import json

import numpy as np
import pytest

from anyscope.errors import BadInput
from anyscope.microscope import MICROSCOPES, SPECIMENS, SyntheticImage, synthesise

SHAPE = (96, 128)


def take(specimen: str, microscope: str = "reference", seed: int = 0, index: int = 0) -> SyntheticImage:
    return synthesise(specimen, MICROSCOPES[microscope].settings(specimen), seed, index, SHAPE)


@pytest.mark.parametrize("microscope", list(MICROSCOPES))
@pytest.mark.parametrize("specimen", list(SPECIMENS))
def test_same_seed_same_bytes_and_another_seed_another_image(specimen: str, microscope: str) -> None:
    first, again = take(specimen, microscope), take(specimen, microscope)
    for name in ("image", "labels", "signal"):
        assert getattr(first, name).tobytes() == getattr(again, name).tobytes()
    assert first.record == again.record
    for other in (take(specimen, microscope, seed=1), take(specimen, microscope, index=1)):
        assert (first.labels != other.labels).any()
        assert (first.image != other.image).mean() > 0.5


@pytest.mark.parametrize("microscope", list(MICROSCOPES))
@pytest.mark.parametrize("specimen", list(SPECIMENS))
def test_shapes_types_truth_and_record(specimen: str, microscope: str) -> None:
    result = take(specimen, microscope)
    assert result.image.shape == result.labels.shape == result.signal.shape == SHAPE
    assert (result.image.dtype, result.labels.dtype, result.signal.dtype) == (np.uint16, np.uint16, np.float32)
    ids = np.unique(result.labels)
    assert ids.tolist() == list(range(result.record["objects"] + 1))
    assert result.signal[result.labels > 0].mean() > 1.5 * result.signal[result.labels == 0].mean()
    assert json.loads(json.dumps(result.record, allow_nan=False)) == result.record
    wanted = MICROSCOPES[microscope].snr
    assert result.record["snr"]["requested"] == wanted
    assert result.record["snr"]["measured"] == pytest.approx(wanted, rel=0.02)


def test_unknown_specimen_lists_the_valid_ones() -> None:
    with pytest.raises(BadInput, match="one of nuclei"):
        synthesise("nucleus", MICROSCOPES["reference"].settings("nuclei"), 0, 0)


@pytest.mark.parametrize("shape", [(8, 64), (64, 100000), (64, 64, 64)])
def test_impossible_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(BadInput, match="lengths"):
        synthesise("nuclei", MICROSCOPES["reference"].settings("nuclei"), 0, 0, shape)  # type: ignore[arg-type]
