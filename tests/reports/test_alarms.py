from __future__ import annotations

import math

import numpy as np
import pytest

from anyscope.reports.alarms import image_alarms, training_alarms
from anyscope.reports.samples import Sample

ON, OFF = np.ones((4, 4), int), np.zeros((4, 4), int)
HALF = np.eye(4, dtype=int)


def records(count: int) -> list[dict[str, float]]:
    return [{"epoch": n, "train_loss": 1.0, "val_loss": 1.0} for n in range(1, count + 1)]


@pytest.mark.parametrize(("best", "alarmed"), [(20, True), (12, False), (None, False)])
def test_best_epoch_at_the_end(best: int | None, alarmed: bool) -> None:
    assert [alarm.title for alarm in training_alarms(records(20), best)] == ["perhaps undertrained"] * alarmed


def test_short_trainings_are_not_judged() -> None:
    assert training_alarms(records(1), 1) == training_alarms([], None) == ()


def test_divergence() -> None:
    (alarm,) = training_alarms([*records(3), {"epoch": 4, "train_loss": math.nan}])
    assert alarm.level == "danger"
    assert "train loss" in alarm.text
    assert "val loss" not in alarm.text


@pytest.mark.parametrize(
    ("reference", "prediction", "titles"),
    [
        (HALF, OFF, ["empty predictions"]),
        (HALF, ON, ["predictions without background"]),
        (HALF, ON + HALF, []),  # two objects that leave nothing between them
        (OFF, OFF, []),
        (ON, ON, []),
        (HALF, HALF, []),
    ],
)
def test_images(reference: np.ndarray, prediction: np.ndarray, titles: list[str]) -> None:
    sample = Sample("cell <1>", np.zeros((4, 4)), reference, prediction)
    alarms = image_alarms([sample])
    assert [alarm.title for alarm in alarms] == titles
    assert all("cell <1>" in alarm.text for alarm in alarms)


def test_many_names_are_cut() -> None:
    samples = [Sample(f"n{n}", np.zeros((4, 4)), HALF, OFF) for n in range(9)]
    assert "n4 and 4 more" in image_alarms(samples)[0].text
