from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from anyscope.adaptation.runner import Shared, carry_out
from anyscope.adaptation.selection import RULES
from anyscope.adaptation.settings import adapt_settings
from anyscope.adaptation.step import Step
from anyscope.models import build_segmenter

from .conftest import TINY


@pytest.fixture
def settings():
    return adapt_settings("none", **{"train": {**TINY, "epochs": 4, "steps_per_epoch": 10}, "candidates": 2})


def begun(work, settings):
    return build_segmenter(work.segmenter.spec, settings.train.seed)


def test_every_rule_chooses_and_the_rule_of_the_settings_is_carried_out(work, domains, settings, tmp_path):
    adapted = carry_out(domains, settings, begun(work, settings), tmp_path / "steps", "cpu")
    (step,) = adapted.steps
    assert step.name == "supervised"
    assert adapted.learned == step
    assert set(step.choices) == set(RULES)
    assert [each.epoch for each in step.judgements] == list(step.candidates) == [2, 4]
    chosen = load_file(step.candidates[step.choices["combined"].epoch])
    assert all(torch.equal(value, chosen[key]) for key, value in adapted.segmenter.state_dict().items())


def test_judgements_that_are_there_are_not_made_again(work, domains, settings, tmp_path):
    carry_out(domains, settings, begun(work, settings), tmp_path / "steps", "cpu")
    path = tmp_path / "steps" / "1-supervised" / "judgements.json"
    document = json.loads(path.read_text())
    document[0]["source_score"] = 0.123
    path.write_text(json.dumps(document))
    again = carry_out(domains, settings, begun(work, settings), tmp_path / "steps", "cpu")
    assert again.steps[0].judgements[0].source_score == 0.123


def test_a_training_that_is_shared_is_not_done_again_but_judged_for_this_target(work, domains, settings, tmp_path):
    first = carry_out(domains, settings, begun(work, settings), tmp_path / "first", "cpu")
    shared = Shared(settings.train, first.steps[0].folder)
    second = carry_out(domains, settings, begun(work, settings), tmp_path / "second", "cpu", shared=shared)
    assert second.steps[0].judgements == first.steps[0].judgements
    assert second.steps[0].candidates == first.steps[0].candidates
    assert not (tmp_path / "second" / "1-supervised" / "checkpoints").exists()


@pytest.mark.parametrize("method", ["histogram", "pretrain"])
def test_a_training_on_something_else_is_not_shared(method, work, domains, settings, tmp_path):
    first = carry_out(domains, settings, begun(work, settings), tmp_path / "first", "cpu")
    shared = Shared(settings.train, first.steps[0].folder)
    given = {"pretrain": {"epochs": 1, "steps_per_epoch": 1}} if method == "pretrain" else {}
    other = adapt_settings(method, **{"train": settings.train.model_dump(), "candidates": 2, **given})
    adapted = carry_out(domains, other, begun(work, settings), tmp_path / "second", "cpu", shared=shared)
    assert adapted.learned.folder == tmp_path / "second" / "2-supervised"
    assert adapted.learned.candidates != first.steps[0].candidates


def test_alarms_of_other_epochs_than_the_chosen_one_are_not_raised(work, domains, settings, tmp_path):
    adapted = carry_out(domains, settings, begun(work, settings), tmp_path / "steps", "cpu")
    (step,) = adapted.steps
    chosen = step.choices["combined"].epoch
    epochs = {str(chosen): {"alarms": {"a": "of the chosen one"}}, "77": {"alarms": {"a": "of another"}}}
    told = replace(adapted, steps=(replace(step, findings={"epochs": epochs, "alarms": ["of all"]}),)).alarms
    assert any("of the chosen one" in alarm for alarm in told)
    assert not any("another" in alarm or "of all" in alarm for alarm in told)


def test_steps_are_frozen_and_refuse_what_they_do_not_know():
    class Nothing(Step):
        name = "nothing"
        stage = "scale"
        summary = source = "none"

        def run(self, work):
            return work

    with pytest.raises(ValueError, match="extra"):
        Nothing(unknown=1)
