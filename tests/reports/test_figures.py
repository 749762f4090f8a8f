from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import matplotlib as mpl
import pytest

from anyscope.reports.drawing import Plot
from anyscope.reports.figures import learning_curves, score_distribution

RECORDS = [{"epoch": n, "train_loss": 1 / n, "val_loss": 2 / n, "val_iou": 1 - 1 / n} for n in range(1, 9)]


def texts(plot: Plot) -> str:
    return " ".join(ElementTree.fromstring(plot.svg).itertext())


def test_panels() -> None:
    loss, scores = learning_curves(RECORDS, best_epoch=6)
    assert {"Loss", "training", "validation"} <= set(texts(loss).split())
    assert "IoU" in texts(scores)
    assert "kept: 6" in texts(scores)
    assert "IoU from 0 to 0.875" in scores.alt
    assert len(learning_curves([{**record, "learning_rate": 1e-3} for record in RECORDS])) == 3
    assert learning_curves([]) == ()


def test_scores_of_other_kinds_and_long_names_have_room(recwarn: pytest.WarningsRecorder) -> None:
    records = [
        {"epoch": n, "val_adapted_rand_error": 0.5 / n, "val_adapted_rand_error_scikit_image": 0.6 / n,
         "val_adapted_rand_precision": 0.9, "val_voi": 400 / n**4, "learning_rate": 10.0**-n} for n in range(1, 6)
    ]  # fmt: skip
    shares, information, rate = learning_curves(records, best_epoch=5)
    assert "precision" in texts(shares)
    assert "VOI" not in texts(shares)
    assert "VOI" in texts(information)
    assert "0.001" in texts(rate)
    assert "$" not in texts(rate) + texts(information)
    assert not recwarn.list


@pytest.mark.parametrize(
    "records",
    [
        [{"epoch": 1, "train_loss": 0.5}],
        [{"epoch": 1, "train_loss": math.nan}, {"epoch": 2, "train_loss": math.inf}],
        [{"epoch": 1, "train_loss": None, "val_iou": 0.5}, {"epoch": 2, "val_iou": 0.5}],
        [{"train_loss": 1.0, "val_a_$x_$": 0.1, "val_<script>\x00": 0.2}],
    ],
)
def test_odd_records(records: list[dict[str, object]]) -> None:
    for plot in learning_curves(records):
        assert ElementTree.fromstring(plot.svg).tag.endswith("svg")
        assert "<script" not in plot.svg


def test_svg_fits_a_page() -> None:
    first, second = learning_curves(RECORDS)
    ids = [set(re.findall(r' id="([^"]+)"', plot.svg)) for plot in (first, second)]
    assert ids[0]
    assert not ids[0] & ids[1]
    for plot in (first, second):
        for reference in re.findall(r'(?:href="#|url\(#)([^")]+)', plot.svg):
            assert f'id="{reference}"' in plot.svg
        assert "<style" not in plot.svg
        assert "<metadata" not in plot.svg
        assert "var(--series-1, #0072b2)" in plot.svg
        assert "var(--ink, " in plot.svg
        assert "xlink" not in plot.svg


def test_the_same_records_give_the_same_bytes() -> None:
    assert learning_curves(RECORDS) == learning_curves(RECORDS)


def test_no_global_state_is_left() -> None:
    before = dict(mpl.rcParams)
    learning_curves(RECORDS)
    assert dict(mpl.rcParams) == before


def test_distribution() -> None:
    plot = score_distribution("voi_split", [1.5, 0.25, 3.0], pooled=1.2, mean=1.583, interval=(0.5, 2.5))
    assert "VOI split of every image" in texts(plot)
    assert "mean 1.583" in texts(plot)
    assert "pooled 1.200" in texts(plot)
    assert plot.alt == "VOI split of 3 images, sorted: lowest 0.250, median 1.500, highest 3.000."
    with pytest.raises(ValueError, match="at least one"):
        score_distribution("iou", [])
