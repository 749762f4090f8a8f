"""Scores of counts made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from anyscope.assay.conditions import Condition
from anyscope.assay.findings import find
from anyscope.assay.gate import Gate, check_gate, read_gate
from anyscope.assay.scores import AssayScores
from anyscope.assay.tally import Tally
from anyscope.assay.worst_case import mean_overlap
from anyscope.errors import BadInput
from tests.assay.conftest import tally_of

KEYS = ["clean", "contrast@1", "contrast@3", "charging@1", "charging@3", "pgd@2", "pgd@8", "random_noise@8"]
ROWS = {
    # clean, contrast, charging, attack, control
    "good": [0.90, 0.88, 0.80, 0.80, 0.60, 0.50, 0.10, 0.85],
    "fragile": [0.92, 0.80, 0.40, 0.70, 0.30, 0.40, 0.05, 0.84],
    "weak": [0.70, 0.69, 0.68, 0.66, 0.64, 0.60, 0.30, 0.69],
    "otsu": [0.60, 0.60, 0.60, 0.50, 0.40, np.nan, np.nan, np.nan],
}


@pytest.fixture
def scores():
    """Each model has the same score in each of six images but for a little spread."""
    spread = np.linspace(-0.01, 0.01, 6)
    rows = {name: [[value + s for s in spread] for value in values] for name, values in ROWS.items()}
    return AssayScores(tally_of(rows, KEYS, 100_000), {}, "good")


def test_a_score_is_tp_over_all():
    assert mean_overlap(np.array([[6.0, 2, 2]])) == pytest.approx(0.6)
    assert mean_overlap(np.array([[1.0, 1, 0], [0, 0, 0], [3, 0, 1]])) == pytest.approx((0.5 + 0.75) / 2)
    assert np.isnan(mean_overlap(np.array([[0.0, 0, 0]])))
    assert np.isnan(mean_overlap(np.array([[np.nan] * 3])))


def test_pooled_scores_weigh_pixels_and_means_weigh_images():
    counts = np.zeros((1, 1, 2, 1, 3))
    counts[0, 0, :, 0] = [[90, 10, 0], [0, 0, 10]]
    tally = Tally("mask", ("m",), (Condition("clean"),), ("a", "b"), counts)
    found = AssayScores(tally, {}, "m")
    assert found.pooled[0, 0] == pytest.approx(90 / 110)
    assert found.per_image_mean[0, 0] == pytest.approx(0.45)
    drawn = tally.drawn(np.array([[0, 0], [1, 1], [0, 1]]))
    assert drawn[:, 0, 0] == pytest.approx([0.9, 0.0, 90 / 110])


def test_summaries(scores):
    assert scores.clean == pytest.approx([0.9, 0.92, 0.7, 0.6], abs=1e-6)
    assert scores.corrupted[:3] == pytest.approx([(0.84 + 0.70) / 2, (0.6 + 0.5) / 2, (0.685 + 0.65) / 2], abs=1e-6)
    assert scores.attacked[:2] == pytest.approx([0.3, 0.225], abs=1e-6)
    assert np.isnan(scores.attacked[3])
    assert scores.worst[0][1] == pytest.approx(0.30, abs=1e-6)
    assert scores.worst[1][1].key == "charging@3"
    assert scores.ratio[0, 2] == pytest.approx(0.8 / 0.9, abs=1e-6)
    assert list(scores.series) == ["contrast", "charging", "pgd", "random_noise"]
    assert scores.names("attack") == ["pgd"]
    assert scores.names("electron") == ["charging"]


def test_degradation_relative_to_the_reference(scores):
    """CD and rCD worked by hand."""
    assert scores.corruption_degradation("contrast")[:2] == pytest.approx([1, (0.2 + 0.6) / (0.12 + 0.2)], abs=1e-4)
    expected = ((0.92 - 0.8) + (0.92 - 0.4)) / ((0.9 - 0.88) + (0.9 - 0.8))
    assert scores.relative_degradation("contrast")[1] == pytest.approx(expected, abs=1e-3)
    second = (0.3 + 0.7) / (0.2 + 0.4)
    assert scores.mean_degradation[1] == pytest.approx((2.5 + second) / 2, abs=1e-3)


def test_area_under_the_severity_curve(scores):
    """Trapezes from severity 0 (clean) over 1 to 3."""
    expected = ((0.9 + 0.88) / 2 * 1 + (0.88 + 0.80) / 2 * 2) / 3
    assert scores.area("contrast")[0] == pytest.approx(expected, abs=1e-6)


def test_ranks_leave_out_what_is_undertrained_or_incomplete(scores):
    assert scores.eligible.tolist() == [True, True, False, False]
    assert scores.ranks.tolist() == [1, 2, 0, 0]
    assert scores.attack_ranks.tolist() == [1, 2, 0, 0]
    broken = scores.tally.counts.copy()
    broken[0, 3, 2] = np.nan
    tally = Tally("mask", scores.models, scores.conditions, scores.tally.images, broken)
    found = AssayScores(tally, {}, "good")
    assert found.tally.complete().tolist() == [False, True, True, True]
    assert found.eligible.tolist() == [False, True, False, False]
    assert found.ranks.tolist() == [0, 1, 0, 0]


def test_a_model_that_no_attack_breaks_has_no_rank_under_attack():
    rows = {"net": [[0.9] * 3, [0.8] * 3, [0.2] * 3], "masked": [[0.9] * 3, [0.7] * 3, [0.6] * 3]}
    found = AssayScores(tally_of(rows, ["clean", "contrast@1", "pgd@32"]), {}, "net")
    assert found.unbroken.tolist() == [False, True]
    assert found.attack_ranks.tolist() == [1, 0]
    assert found.ranks.tolist() == [1, 2]
    assert found.corruption_and_attack.models == 1
    assert "No attack broke masked even at 32/255" in " ".join(find(found).remarks)
    small = AssayScores(tally_of(rows, ["clean", "contrast@1", "pgd@16"]), {}, "net")
    assert not small.unbroken.any()


def test_shares_of_variance_by_corruption_and_family(scores):
    shares = scores.shares
    assert set(shares) == {"contrast", "charging"}
    assert sum(shares.values()) == pytest.approx(1)
    # differences between the two ranked models: .24 for contrast, .20 for charging
    assert shares["contrast"] == pytest.approx(0.24 / 0.44, abs=1e-3)
    assert scores.shares_of_families == pytest.approx({"digital": shares["contrast"], "electron": shares["charging"]})


def test_other_data(scores):
    shift = tally_of({name: [[0.5, 0.7]] for name in ROWS}, ["shift:far"])
    found = AssayScores(scores.tally, {"far": shift}, "good")
    assert found.shifted == pytest.approx([0.6] * 4)
    assert found.synthetic_and_real.models == 2
    assert scores.synthetic_and_real is None
    assert np.isnan(scores.shifted).all()


def test_findings_name_the_numbers(scores):
    found = find(scores)
    assert found.trusted == ("good",)
    assert found.recommendation.startswith("Trust good: IoU 0.770 on average over the corruptions (0.900 on clean")
    text = " ".join(found.remarks)
    assert "best on clean images, fragile (0.920), has rank 2" in text
    assert "more than 0.05 below the best: weak, otsu" in text
    assert "the classical baseline (Otsu, 0.525 on average)" in text
    assert "charging (0.600)" in text


def test_without_corruptions_nothing_is_said_of_robustness():
    found = find(AssayScores(tally_of({"m": [[0.8, 0.9]]}, ["clean"]), {}, "m"))
    assert found.trusted == ("m",)
    assert "Nothing is known of its robustness" in found.recommendation


def test_nothing_is_recommended_without_scores():
    found = find(AssayScores(tally_of({"m": [[0.8, 0.9], [np.nan, 0.5]]}, ["clean", "contrast@1"]), {}, "m"))
    assert found.trusted == ()
    assert "none can be recommended" in found.recommendation


def gate_of(tmp_path, text):
    path = tmp_path / "gate.yaml"
    path.write_text(text)
    return path


def test_a_gate(scores, tmp_path):
    path = gate_of(
        tmp_path,
        "models: [good, fragile]\n"
        "minimum: {clean: 0.9, contrast: 0.7, charging@3: 0.5, electron: 0.6, corruption: 0.5, worst: 0.5,"
        " attack: 0.2}\n",
    )
    checks = {(check.model, check.name): check for check in check_gate(read_gate(path), scores, path)}
    failed = {key for key, check in checks.items() if not check.passed}
    assert failed == {
        ("fragile", "contrast"),
        ("fragile", "charging@3"),
        ("fragile", "electron"),
        ("fragile", "worst"),
    }
    assert checks["fragile", "worst"].describe() == "fragile worst 0.300, at least 0.5 wanted"
    assert checks["good", "attack"].found == pytest.approx(0.3, abs=1e-6)


def test_a_missing_score_fails_a_gate(scores, tmp_path):
    checks = check_gate(Gate(models=("otsu",), minimum={"pgd@2": 0.0}), scores, tmp_path / "g")
    assert not checks[0].passed
    assert "no score" in checks[0].describe()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("minimum: {clean: 1.5}", "less than or equal to 1"),
        ("minimum: {}", "at least 1"),
        ("minimal: {clean: 0.5}", "minimum"),
        ("- 1", "measure, models"),
        ("minimum: {clean: [}", "gate"),
    ],
)
def test_files_that_are_no_gate(tmp_path, text, message):
    with pytest.raises(BadInput, match=message):
        read_gate(gate_of(tmp_path, text))


def test_a_gate_of_other_conditions_or_models(scores, tmp_path):
    with pytest.raises(BadInput, match="did you mean 'contrast'"):
        check_gate(Gate(minimum={"contrats": 0.5}), scores, tmp_path / "g")
    with pytest.raises(BadInput, match="model 'goood'"):
        check_gate(Gate(models=("goood",), minimum={"clean": 0.5}), scores, tmp_path / "g")
