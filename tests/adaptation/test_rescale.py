"""The search over scales, with predictions that are made up, so that the best scale is known."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyscope.adaptation import rescale
from anyscope.adaptation.candidates import Judgement
from anyscope.adaptation.judging import Judged
from anyscope.adaptation.rescale import Rescale
from anyscope.adaptation.traits import Traits


def traits(area: float, foreground_px: int = 600) -> Traits:
    return Traits(
        planes=1, pixels=10_000, foreground_px=foreground_px, objects=6 if foreground_px else 0, specks=0,
        mean_area_px=area, median_area_px=area, largest_share=0.01, solidity=0.95, solidity_per_slice=0.95,
        area_ratio=area / 10_000, entropy_bits=0.1, unsure=0.02,
    )  # fmt: skip


@pytest.fixture
def faked(monkeypatch, trained_work):
    """Objects have the reference's area at a zoom of 1.6 (or ``best``) times the nominal one."""

    def prepare(nominal=1.0, foreground_px=600, best=1.6):
        class FakeExam:
            reference = traits(100.0)

            @classmethod
            def read(cls, *_):
                return cls()

        def judge(segmenter, number, _exam):
            zoom = segmenter.spec.input.zoom / nominal
            return Judged(Judgement(number, None, None, traits(100.0 * (zoom / best) ** 2, foreground_px)), ())

        monkeypatch.setattr(rescale, "Exam", FakeExam)
        monkeypatch.setattr(rescale, "judge", judge)
        trained_work.segmenter.spec = trained_work.segmenter.spec.with_input(zoom=nominal)
        return trained_work

    return prepare


def findings(work):
    return json.loads((work.folder / "findings.json").read_text())


@pytest.mark.parametrize("nominal", [1.0, 0.5])
def test_the_scale_is_found_relative_to_the_nominal_one(faked, nominal):
    work = Rescale().run(faked(nominal))
    assert work.segmenter.spec.input.zoom == pytest.approx(nominal * 2 ** (2 / 3))
    found = findings(work)
    assert found["zoom"] == work.segmenter.spec.input.zoom
    assert found["nominal"] == nominal
    assert len(found["zooms"]) == len(found["scores"]) == len(found["judgements"])


@pytest.mark.parametrize(("caution", "zoom"), [(0, 4), (0.05, 2 ** (1 / 3)), (0.2, 1)])
def test_what_is_far_must_look_much_better(faked, caution, zoom):
    """Objects look the better the larger they are shown: without caution the end of the range is taken."""
    work = Rescale(caution=caution).run(faked(best=1000))
    assert work.segmenter.spec.input.zoom == pytest.approx(zoom)
    found = findings(work)
    for factor, look, score in zip(found["zooms"], found["looks"], found["scores"], strict=True):
        assert score == pytest.approx(look * (1 + caution * np.log2(factor) ** 2))


def test_rules_for_which_more_is_better_do_not_judge_scales():
    with pytest.raises(ValueError, match="rule"):
        Rescale(rule="source-validation")


def test_an_alarm_where_every_scale_collapses_and_none_where_some_do(faked):
    assert "COLLAPSED" in findings(Rescale().run(faked(foreground_px=0)))["alarms"][0]
    assert findings(Rescale().run(faked()))["alarms"] == []


@given(st.floats(0.1, 3), st.integers(1, 12), st.booleans())
def test_zooms_begin_with_the_nominal_one_and_are_symmetric(octaves, steps, known):
    zooms = Rescale(octaves=octaves, octaves_unknown=octaves, steps_per_octave=steps).zooms(known)
    assert zooms[0] == 1
    assert sorted(1 / zoom for zoom in zooms) == pytest.approx(sorted(zooms))
    assert len(set(zooms)) == len(zooms)
    assert max(zooms) <= 2 ** (octaves + 1 / steps)


def test_unknown_pixel_sizes_are_searched_farther():
    assert max(Rescale().zooms(known=False)) == 4
    assert max(Rescale().zooms(known=True)) == 2


def test_where_nothing_shows_a_gap_a_scale_must_look_far_better(faked):
    near = {"best": 1.127}
    assert Rescale().run(faked(**near)).segmenter.spec.input.zoom > 1
    settled = replace(faked(**near), settled=True)
    assert Rescale().run(settled).segmenter.spec.input.zoom == 1
    assert findings(settled)["caution"] == 2
    eager = Rescale(caution_without_gap=0).run(replace(faked(**near), settled=True))
    assert eager.segmenter.spec.input.zoom > 1
    assert Rescale().run(replace(faked(best=0.5), settled=True)).segmenter.spec.input.zoom == 0.5
