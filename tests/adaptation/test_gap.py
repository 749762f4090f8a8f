import json
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from anyscope.adaptation.gap import GapSign, look_for_gap
from anyscope.adaptation.runner import carry_out
from anyscope.adaptation.settings import adapt_settings
from anyscope.models import build_segmenter

from .conftest import TINY
from .judgements import REFERENCE


@pytest.mark.parametrize(
    ("source", "target", "shows"),
    [
        (0.05, 0.20, True),
        (0.05, 0.05, False),
        (0.05, 0.02, False),
        (0.005, 0.025, False),  # both are next to nothing
        (0.20, 0.25, False),  # more by what chance makes
    ],
)
def test_a_gap_shows_where_predictions_of_the_target_change_more(source, target, shows):
    sign = GapSign(source, target)
    assert sign.shows == shows
    assert ("as settled on the target" in sign.words()) == (not shows)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_more_change_on_the_target_never_hides_a_gap(source, target, more):
    assert GapSign(source, max(target, more)).shows >= GapSign(source, min(target, more)).shows


def test_a_prediction_that_has_collapsed_is_a_gap_however_firm_it_is():
    sign = GapSign(0.05, 0.0, "nothing is foreground")
    assert sign.shows
    assert "nothing is foreground" in sign.words()


@pytest.fixture
def settings():
    train = {**TINY, "epochs": 4, "steps_per_epoch": 10}
    more = {"epochs": 1, "steps_per_epoch": 1}
    return adapt_settings(
        "rescale+mean-teacher",
        **{"train": train, "candidates": 4, "mean-teacher": more, "rescale": {"steps_per_octave": 1}},
    )


def begun(work, settings):
    return build_segmenter(work.segmenter.spec, settings.train.seed)


@pytest.mark.parametrize("shows", [True, False])
def test_refinements_are_left_out_where_no_gap_shows(shows, work, domains, settings, tmp_path, monkeypatch):
    monkeypatch.setattr(GapSign, "shows", property(lambda _: shows))
    guarded = settings.model_copy(update={"only_for_gaps": True})
    adapted = carry_out(domains, guarded, begun(work, settings), tmp_path / "steps", "cpu")
    assert adapted.gap is not None
    if shows:
        assert [step.name for step in adapted.steps] == ["supervised", "rescale", "mean-teacher"]
        assert adapted.left_out == ()
        assert adapted.steps[1].findings["caution"] == 0.2
    else:
        assert [step.name for step in adapted.steps] == ["supervised", "rescale"]
        assert adapted.left_out == ("mean-teacher",)
        assert adapted.steps[1].findings["caution"] == 2.0
        assert not any("no gap shows" in alarm for alarm in adapted.alarms)


def test_what_was_asked_for_is_carried_out_with_an_alarm_where_no_gap_shows(
    work, domains, settings, tmp_path, monkeypatch
):
    monkeypatch.setattr(GapSign, "shows", property(lambda _: False))
    adapted = carry_out(domains, settings, begun(work, settings), tmp_path / "steps", "cpu")
    assert [step.name for step in adapted.steps] == ["supervised", "rescale", "mean-teacher"]
    assert any("no gap shows" in alarm for alarm in adapted.alarms)


def test_changes_are_measured_on_both_domains_and_not_made_again(work, domains, settings, tmp_path):
    adapted = carry_out(domains, settings, begun(work, settings), tmp_path / "steps", "cpu")
    path = tmp_path / "steps" / "1-supervised" / "gap.json"
    assert adapted.gap == GapSign(**json.loads(path.read_text()))
    # With four candidates a quarter is the one before, and the few images are all looked at, as agreement does.
    assert adapted.gap.target == pytest.approx(1 - adapted.steps[0].judgements[-1].agreement)
    path.write_text(json.dumps({"source": 0.5, "target": 0.25, "collapsed": ""}))
    again = carry_out(domains, settings, begun(work, settings), tmp_path / "steps", "cpu")
    assert again.gap == GapSign(0.5, 0.25)


def test_the_source_is_its_images_for_training_and_for_validation(work, domains, settings, tmp_path):
    adapted = carry_out(domains, settings, begun(work, settings), tmp_path / "steps", "cpu")
    networks = [load_file(path) for path in list(adapted.steps[0].candidates.values())[-2:]]
    done = replace(work, segmenter=adapted.segmenter)
    own = {key: value.clone() for key, value in adapted.segmenter.state_dict().items()}
    both = look_for_gap(done, networks, REFERENCE)
    parts = [
        look_for_gap(replace(done, domains=replace(domains, source=part, validation=None)), networks, REFERENCE).source
        for part in (domains.source, domains.validation)
    ]
    assert min(parts) <= both.source <= max(parts)
    assert look_for_gap(done, networks[:1] * 2, REFERENCE) == GapSign(0.0, 0.0)
    assert all(torch.equal(value, own[key]) for key, value in adapted.segmenter.state_dict().items())


def test_a_network_that_finds_nothing_on_the_target_shows_a_gap(work, domains, settings, tmp_path):
    none = begun(work, settings).state_dict()
    last = list(none)[-1]
    none[last] = torch.full_like(none[last], -100.0)  # the bias of the last layer
    sign = look_for_gap(work, [none, none], REFERENCE)
    assert (sign.source, sign.target) == (0.0, 0.0)
    assert sign.shows
    assert "nothing is foreground" in sign.words()


def test_a_trained_network_is_compared_with_itself_earlier_where_that_is_known(
    work, domains, settings, tmp_path, monkeypatch
):
    monkeypatch.setattr(GapSign, "shows", property(lambda _: False))
    guarded = settings.model_copy(update={"only_for_gaps": True})
    trained = carry_out(
        domains, settings.model_copy(update={"method": ()}), begun(work, settings), tmp_path / "t", "cpu"
    )
    earlier, given = trained.steps[0].candidates[1], trained.segmenter
    adapted = carry_out(domains, guarded, given, tmp_path / "with", "cpu", trained=True, earlier=earlier)
    assert adapted.gap.target > 0
    assert adapted.left_out == ("mean-teacher",)
    assert (tmp_path / "with" / "gap.json").is_file()
    unknown = carry_out(domains, guarded, given, tmp_path / "without", "cpu", trained=True)
    assert (unknown.gap, unknown.left_out) == (None, ())


def test_a_search_of_scale_alone_asks_whether_a_gap_shows(work, domains, settings, tmp_path, monkeypatch):
    monkeypatch.setattr(GapSign, "shows", property(lambda _: False))
    plain = carry_out(domains, settings.model_copy(update={"method": ()}), begun(work, settings), tmp_path / "t", "cpu")
    earlier = plain.steps[0].candidates[1]
    alone = settings.model_copy(update={"method": settings.method[:1]})
    assert alone.method == ("rescale",)
    for guarded, caution in ((False, 0.2), (True, 2.0)):
        chosen = alone.model_copy(update={"only_for_gaps": guarded})
        adapted = carry_out(
            domains, chosen, plain.segmenter, tmp_path / str(guarded), "cpu", trained=True, earlier=earlier
        )
        assert adapted.steps[0].findings["caution"] == caution


def test_one_candidate_alone_says_nothing_and_everything_is_carried_out(work, domains, settings, tmp_path):
    guarded = settings.model_copy(update={"only_for_gaps": True, "candidates": 1})
    adapted = carry_out(domains, guarded, begun(work, settings), tmp_path / "steps", "cpu")
    assert adapted.gap is None
    assert [step.name for step in adapted.steps] == ["supervised", "rescale", "mean-teacher"]
