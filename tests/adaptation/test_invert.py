"""Whether the target is inverted: with judgements that are made up, and with discs that are dark on bright ground."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from anyscope.adaptation import invert
from anyscope.adaptation.candidates import Judgement
from anyscope.adaptation.comparison import compare_domains
from anyscope.adaptation.invert import Invert, inverted
from anyscope.adaptation.judging import Judged
from anyscope.adaptation.runner import carry_out
from anyscope.adaptation.settings import adapt_settings
from anyscope.datasets import open_dataset
from anyscope.models import InputTransform, build_segmenter

from .conftest import TINY, write_discs
from .test_rescale import traits


@pytest.fixture
def faked(monkeypatch, trained_work):
    """Objects of these areas as the target is, and inverted, where the source's are of 100; none are found for 0."""

    def prepare(as_it_is, turned):
        class FakeExam:
            reference = traits(100.0)

            @classmethod
            def read(cls, *_):
                return cls()

        def judge(segmenter, number, _exam):
            area = turned if segmenter.spec.input.levels else as_it_is
            return Judged(Judgement(number, None, None, traits(area or 1.0, 600 if area else 0)), ())

        monkeypatch.setattr(invert, "Exam", FakeExam)
        monkeypatch.setattr(invert, "judge", judge)
        return trained_work

    return prepare


def findings(work):
    return json.loads((work.folder / "findings.json").read_text())


@pytest.mark.parametrize(
    ("as_it_is", "turned", "levels"),
    [
        (250.0, 110.0, ((1.0, 0.0),)),
        (110.0, 250.0, ()),
        (110.0, 110.0, ()),
        (0.0, 250.0, ((1.0, 0.0),)),
        (250.0, 0.0, ()),
        (0.0, 0.0, ()),
    ],
)
def test_the_view_of_which_the_network_makes_more_is_taken(faked, as_it_is, turned, levels):
    work = Invert().run(faked(as_it_is, turned))
    assert work.segmenter.spec.input.levels == levels
    found = findings(work)
    assert found["inverted"] is bool(levels)
    assert len(found["scores"]) == len(found["looks"]) == len(found["judgements"]) == 2
    assert found["scores"][0] == found["looks"][0]
    assert found["scores"][1] == pytest.approx(1.1 * found["looks"][1])


def test_inverted_must_look_better_by_the_caution(faked):
    """Of areas 1.30 and 1.29 times the reference's the second is nearer, but hardly."""
    assert not findings(Invert().run(faked(130.0, 129.0)))["inverted"]
    assert findings(Invert(caution=0).run(faked(130.0, 129.0)))["inverted"]


@given(arrays(np.float32, (2, 3, 4, 5), elements=st.floats(0, 1, width=32)))
def test_three_channels_are_shown_inverted(values):
    spec_input = inverted(InputTransform(), 3)
    assert spec_input.levels == ((1.0, 0.0),) * 3
    segmenter = build_segmenter(_spec(spec_input), 0)
    shown = segmenter.transform_input(torch.from_numpy(values))
    np.testing.assert_allclose(shown, 1 - values, atol=1e-6)


def test_levels_that_were_there_are_inverted_after_they_were_applied():
    before = InputTransform(zoom=2.0, levels=((0.0, 0.25, 1.0),))
    after = inverted(before, 1)
    assert after.levels == ((1.0, 0.75, 0.0),)
    assert after.zoom == 2
    assert inverted(after, 1) == before


def _spec(transform):
    from anyscope.models import SegmenterSpec

    return SegmenterSpec(
        model="unet_simple", arguments={"filters": [4, 8]}, task="semantic", channels=3, input=transform
    )


@pytest.fixture
def settings():
    train = {**TINY, "epochs": 4, "steps_per_epoch": 25}
    return adapt_settings("invert", train=train, candidates=4)


@pytest.fixture
def dark_discs(domains, tmp_path):
    """The domains with a target of dark discs on bright ground."""
    target = open_dataset(write_discs(tmp_path / "dark", level=(200, 80), seed=1))
    return replace(domains, target=target.unlabelled(None)), target.labelled(None)


def overlap(segmenter, labelled):
    both = either = 0
    for region in labelled:
        image = torch.from_numpy(region.read_unit(segmenter.spec.intensity)[:, 0])[None]
        with torch.no_grad():
            found = segmenter(image)[0, 0].numpy() > 0
        truth = region.read_labels()[0] > 0
        both, either = both + (found & truth).sum(), either + (found | truth).sum()
    return both / either


def test_dark_discs_are_found_by_a_network_of_bright_ones(work, dark_discs, settings, tmp_path):
    domains, labelled = dark_discs
    plain = carry_out(domains, settings.model_copy(update={"method": ()}), _begun(work), tmp_path / "plain", "cpu")
    adapted = carry_out(domains, settings, _begun(work), tmp_path / "steps", "cpu")
    assert adapted.steps[-1].findings["inverted"]
    assert adapted.segmenter.spec.input.levels == ((1.0, 0.0),)
    assert overlap(adapted.segmenter, labelled) > 0.5 > 0.2 > overlap(plain.segmenter, labelled)


def test_bright_discs_are_shown_as_they_are(work, domains, settings, tmp_path):
    adapted = carry_out(domains, settings, _begun(work), tmp_path / "steps", "cpu")
    assert not adapted.steps[-1].findings["inverted"]
    assert adapted.segmenter.spec.input == InputTransform()
    assert not (tmp_path / "steps" / "2-invert" / "judgements.json").exists()


def test_what_was_chosen_before_is_judged_again_and_so_is_the_gap(work, dark_discs, settings, tmp_path):
    domains, _ = dark_discs
    adapted = carry_out(domains, settings, _begun(work), tmp_path / "steps", "cpu")
    training = adapted.steps[0]
    first = json.loads((tmp_path / "steps" / "1-supervised" / "judgements.json").read_text())
    again = json.loads((tmp_path / "steps" / "2-invert" / "judgements.json").read_text())
    assert [each.to_dict() for each in training.judgements] == again != first
    assert adapted.learned is training
    gap = json.loads((tmp_path / "steps" / "2-invert" / "gap.json").read_text())
    assert adapted.gap.target == gap["target"]
    resumed = carry_out(domains, settings, _begun(work), tmp_path / "steps", "cpu")
    assert resumed.steps == adapted.steps
    assert resumed.gap == adapted.gap


def test_inverted_looks_are_told_from_others_and_proposed(domains, dark_discs, work):
    """Discs take a fifth of their images: as bright as the ground is dark, or the other way round."""
    dark = compare_domains(domains.source.without_labels(), dark_discs[0].target, work.segmenter.spec)
    assert dark.looks_inverted
    assert dark.proposal().methods == ("invert", "rescale", "fixmatch")
    assert len(dark.proposal().reasons) == 3
    assert any("grey levels look inverted" in line for line in dark.lines())
    assert dark.to_dict()["inverse_distance"] == dark.inverse_distance < dark.histogram_distance
    bright = compare_domains(domains.source.without_labels(), domains.target, work.segmenter.spec)
    assert not bright.looks_inverted
    assert "invert" not in bright.proposal().methods


def _begun(work):
    return build_segmenter(work.segmenter.spec, 0)
