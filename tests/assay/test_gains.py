"""What robust training gained, from counts made by hand."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from anyscope.assay.gains import robust_gains
from anyscope.assay.plan import AssayPlan, DataRef, SubjectRef
from anyscope.assay.scores import AssayScores
from anyscope.assay.tables import write_gains
from tests.assay.conftest import tally_of

KEYS = [
    "clean",
    "gaussian_noise@1",
    "speckle_noise@1",
    "gaussian_blur@1",
    "gaussian_blur@3",
    "pgd@4",
    "apgd@4",
    "random_noise@4",
]
PLAIN = [0.90, 0.60, 0.50, 0.70, 0.50, 0.10, 0.05, 0.80]
HARD = [0.86, 0.80, 0.60, 0.72, 0.60, 0.30, 0.35, 0.82]


def plan_of(models):
    data = DataRef(name="data", path="d", part=None, images=("a",))
    return AssayPlan(subjects=tuple(models), data=(data,), conditions=tuple(KEYS))


def subject(name, robust="", network="unet on nuclei"):
    hard = {"robust": robust, "seen": ("gaussian_noise",), "held_out": ("geometry", "blur")} if robust else {}
    return SubjectRef(name=name, path=name, network=network, **hard)


def scores_of(rows, images=20):
    random = np.random.default_rng(0)
    table = {
        name: [(value + random.normal(0, 0.02, images)).clip(0, 1).tolist() for value in values]
        for name, values in rows.items()
    }
    return AssayScores(tally_of(table, KEYS, pixels=10_000), {}, next(iter(rows)))


@pytest.fixture
def gains():
    rows = {"p0": PLAIN, "p1": [v + 0.01 for v in PLAIN], "h0": HARD, "h1": [v + 0.01 for v in HARD]}
    plan = plan_of([subject("p0"), subject("p1"), subject("h0", "corruptions {}"), subject("h1", "corruptions {}")])
    return robust_gains(plan, scores_of(rows))


def test_each_kind_of_condition_is_compared(gains):
    found = {one.under: one for one in gains}
    expected = {
        "clean": (1, -0.04),
        "corruptions that were drawn (noise)": (1, 0.20),
        "others of their kind (noise)": (1, 0.10),
        "held-out kinds (blur)": (2, 0.06),
        "strongest attack by gradient, 4/255": (2, 0.25),
    }
    assert found.keys() == expected.keys()
    for under, (count, difference) in expected.items():
        one = found[under]
        assert (one.conditions, one.runs, one.robust) == (count, (2, 2), "corruptions")
        assert one.difference == pytest.approx(difference, abs=0.01)
        assert one.low < one.difference < one.high
        assert one.tells
        assert one.high - one.low < 0.05


def test_what_does_not_differ_is_not_told_from_chance():
    plan = plan_of([subject("p"), subject("h", "noise {}")])
    assert not any(one.tells for one in robust_gains(plan, scores_of({"p": PLAIN, "h": PLAIN})))


def test_only_runs_of_one_network_and_budget_are_compared():
    rows = {"p": PLAIN, "h": HARD, "n": PLAIN}
    other = [subject("p"), subject("h", "noise {}", "unet on mitochondria"), subject("n", "", "")]
    assert robust_gains(plan_of(other), scores_of(rows)) == ()
    rows["h"] = [*HARD[:-1], np.nan]
    incomplete = [subject("p"), subject("h", "noise {}"), subject("n", "", "")]
    assert robust_gains(plan_of(incomplete), scores_of(rows)) == ()


def test_they_are_written(gains, tmp_path):
    write_gains(tmp_path, gains)
    with open(tmp_path / "gains.csv", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [row["under"] for row in rows] == [one.under for one in gains]
    assert float(rows[0]["difference"]) == pytest.approx(gains[0].difference, abs=1e-6)
    write_gains(tmp_path / "nothing", ())
    assert not (tmp_path / "nothing").exists()
