"""The check for hallucinated contents on cases that were made for it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from anyscope.adaptation.style.hallucination import (
    MOST_INVENTED,
    Examination,
    Foreground,
    Structure,
    compare_foreground,
    compare_structure,
    planes_of,
)
from anyscope.microscope import MICROSCOPES, synthesise

QUIET = Foreground(before=0.1, after=0.1, source=0.1, on_invented=0.0)


def tissue(seed=0, size=160):
    """Two planes of smooth structure with noise."""
    random = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(random.normal(size=(2, size, size)), (0, 4, 4))
    grey = 0.5 + 0.15 * smooth / smooth.std() + random.normal(0, 0.03, smooth.shape)
    return np.clip(grey, 0, 1).astype(np.float32)


def discs(planes, count, radius=9, level=0.05, seed=1):
    random = np.random.default_rng(seed)
    y, x = np.mgrid[: planes.shape[1], : planes.shape[2]]
    painted = planes.copy()
    for plane in painted:
        for centre in random.uniform(0, planes.shape[1], (count, 2)):
            plane[(y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2] = level
    return painted


def alarms_of(before, after, foreground=QUIET):
    return list(Examination(compare_structure(before, after)[0], foreground).alarms().values())


@pytest.mark.parametrize(
    "curve",
    [lambda x: x, lambda x: x**3, lambda x: x**0.3, lambda x: 1 - x, lambda x: 1 / (1 + np.exp(-9 * (x - 0.5)))],
    ids=["identity", "cube", "root", "inverse", "sigmoid"],
)
def test_a_grey_level_curve_changes_nothing(curve):
    before = tissue()
    structure, invented = compare_structure(before, curve(before).astype(np.float32))
    assert structure.invented == structure.lost == 0
    assert structure.agreement == pytest.approx(1, abs=1e-3)
    assert structure.dark_overlap > 0.97
    assert not invented.any()


@settings(max_examples=15, deadline=None)
@given(gamma=st.floats(0.2, 5), gain=st.floats(0.3, 1), inverted=st.booleans())
def test_any_grey_level_curve_raises_no_alarm(gamma, gain, inverted):
    before = tissue(size=96)
    after = gain * before**gamma
    assert alarms_of(before, (1 - after if inverted else after).astype(np.float32)) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda x: ndimage.gaussian_filter(x, (0, 1.5, 1.5)),
        lambda x: x + np.random.default_rng(5).normal(0, 0.1, x.shape),
        lambda x: x + np.linspace(-0.2, 0.2, x.shape[-1]),
        lambda x: x + (x - ndimage.gaussian_filter(x, (0, 2, 2))),
    ],
    ids=["blur", "noise", "shading", "sharpening"],
)
def test_a_change_of_style_raises_no_alarm(change):
    before = tissue()
    assert alarms_of(before, np.clip(change(before), 0, 1).astype(np.float32)) == []


@pytest.mark.parametrize("level", [0.05, 0.95])
def test_painted_discs_raise_an_alarm_and_are_found(level):
    before = tissue()
    after = discs(before, 5, level=level)
    structure, invented = compare_structure(before, after)
    alarms = Examination(structure, QUIET).alarms()
    assert f"invented on {structure.invented:.1%} of the area (alarm above 1%)" in alarms["invented"]
    near = ndimage.binary_dilation(before != after, iterations=14)
    assert structure.invented > 2 * MOST_INVENTED
    assert invented[near].sum() > 0.95 * invented.sum()


def test_removed_discs_raise_an_alarm():
    before = tissue()
    alarms = alarms_of(discs(before, 5), before)
    assert any("structure was lost on" in alarm for alarm in alarms)


def test_painting_on_real_looking_nuclei():
    image = synthesise("nuclei", MICROSCOPES["reference"].settings("nuclei"), seed=0, index=0, shape=(160, 160))
    before = np.asarray(image.image, np.float32).reshape(1, 160, 160)
    before = np.clip((before - before.min()) / np.ptp(before), 0, 1)
    assert alarms_of(before, np.sqrt(before)) == []
    assert alarms_of(before, discs(before, 5, level=1.0)) != []


def test_another_image_and_a_blank_one():
    before = tissue()
    other, blank = tissue(seed=9), np.full_like(before, 0.5)
    assert compare_structure(before, other)[0].agreement < 0.3
    assert any("invented" in alarm for alarm in alarms_of(before, other))
    lost = compare_structure(before, blank)[0]
    assert lost.lost > 0.2
    assert np.isfinite([lost.invented, lost.agreement, lost.dark_overlap, lost.dark_objects]).all()


def test_dark_objects_are_counted():
    flat = np.full((1, 80, 80), 0.8, np.float32) + np.random.default_rng(0).normal(0, 0.001, (1, 80, 80)).astype("f4")
    two, four = flat.copy(), flat.copy()
    for place in (10, 50):
        two[0, place : place + 20, 5:25] = 0.1
        four[0, place : place + 20, 5:25] = four[0, place : place + 20, 45:65] = 0.1
    one, other = (compare_structure(two, each)[0] for each in (two, four))
    assert one.dark_objects == 1
    assert one.dark_overlap == 1
    assert other.dark_objects > 1.4
    assert other.dark_overlap < 0.8


def test_foreground_by_hand():
    before = np.zeros((1, 4, 5), bool)
    after, invented, returned = before.copy(), before.copy(), before.copy()
    before[0, 0, :2] = True
    after[0, 0, :4] = True
    invented[0, 0, 3] = invented[0, 2] = True
    returned[0, 0, 2:4] = True
    assert compare_foreground(before, after, invented, 0.3, returned) == Foreground(0.1, 0.2, 0.3, 0.25, 4 / 6)
    nothing = np.zeros_like(before)
    assert compare_foreground(before, nothing, invented, 0.3, nothing) == Foreground(0.1, 0.0, 0.3, 0.0, 1.0)
    assert compare_foreground(before, nothing, invented, 0.3).cycle is None


@pytest.mark.parametrize(("foreground", "expected"), [
    (Foreground(0.1, 0.2, 0.1, 0.0), None),
    (Foreground(0.1, 0.21, 0.1, 0.0), "21.0% is predicted as foreground"),
    (Foreground(0.1, 0.21, 0.2, 0.0), None),
    (Foreground(0.3, 0.019, 0.1, 0.0), "only 1.9% is predicted as foreground"),
    (Foreground(0.1, 0.1, 0.1, 0.21), "21% of the predicted foreground stands on invented structure"),
])  # fmt: skip
def test_alarms_about_predictions(foreground, expected):
    alarms = list(Examination(Structure(0.0, 0.0, 1.0, 1.0, 1.0), foreground).alarms().values())
    assert len(alarms) == (expected is not None)
    assert all(alarm.startswith(expected) for alarm in alarms)


def test_findings_are_plain_data():
    found = Examination(Structure(0.5, 0.0, 1.0, 1.0, np.inf), QUIET).to_document()
    read = json.loads(json.dumps(found, allow_nan=False))
    assert read["structure"]["dark_objects"] is None
    assert read["foreground"]["source"] == 0.1
    assert list(read["alarms"]) == ["invented"]


def test_channels_are_planes():
    assert planes_of(np.zeros((2, 3, 4, 5), np.float32)).shape == (6, 4, 5)
