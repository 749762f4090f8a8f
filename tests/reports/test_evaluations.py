from __future__ import annotations

import pytest

from anyscope.errors import BadInput
from anyscope.reports.evaluations import per_image, primary_key, score_rows

DOCUMENT = {
    "scores": {"iou": 0.6, "count": None},
    "per_image": [
        {"image": "a", "scores": {"iou": 0.2}},
        {"image": "b", "scores": {"iou": 0.6, "count": 3}},
        {"image": "c", "scores": {"iou": None}},
        {"image": "d", "scores": {"iou": 0.7, "count": float("nan")}},
    ],
    "intervals": {"iou": [0.3, 0.7], "count": None},
}


def test_rows_by_hand() -> None:
    iou, count = score_rows(DOCUMENT)
    assert (iou.pooled, iou.mean, iou.n, iou.interval) == (0.6, pytest.approx(0.5), 3, (0.3, 0.7))
    assert iou.deviation == pytest.approx((0.14 / 2) ** 0.5)
    assert iou.quantiles == (0.2, 0.6, 0.7)
    assert iou.bounded
    assert (count.pooled, count.mean, count.deviation, count.interval, count.n) == (None, 3, None, None, 1)
    assert not count.bounded


def test_means_of_the_document_win() -> None:
    assert score_rows({**DOCUMENT, "mean": {"iou": 0.55}})[0].mean == 0.55


def test_per_image() -> None:
    assert per_image(DOCUMENT, "iou") == {"a": 0.2, "b": 0.6, "c": None, "d": 0.7}


def test_primary() -> None:
    assert primary_key(DOCUMENT) == "iou"
    assert primary_key(DOCUMENT, "count") == "count"
    assert primary_key({"scores": {"iou": None, "dice": 1.0}}) == "iou"
    with pytest.raises(BadInput, match="one of iou, count"):
        primary_key(DOCUMENT, "dice")


def test_no_scores() -> None:
    with pytest.raises(BadInput, match="no scores"):
        score_rows({"n": 3})
