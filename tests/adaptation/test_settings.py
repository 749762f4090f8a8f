from __future__ import annotations

import pytest

from anyscope.adaptation.catalog import STEPS
from anyscope.adaptation.settings import TRAINING, adapt_settings, parse_method
from anyscope.adaptation.step import STAGES
from anyscope.errors import BadInput


def names(settings, trained=False):
    return [step.name for step in settings.chain(trained)]


def test_steps_are_carried_out_by_stage_however_they_were_typed():
    typed = adapt_settings("mean-teacher+rescale+histogram")
    assert typed.title == "mean-teacher+rescale+histogram"
    assert names(typed) == ["histogram", "supervised", "rescale", "mean-teacher"]
    assert names(adapt_settings("adabn+mean-teacher")) == ["supervised", "adabn", "mean-teacher"]


def test_nothing_is_trained_that_was_trained_unless_its_source_changes():
    assert names(adapt_settings("none")) == ["supervised"]
    assert names(adapt_settings("none"), trained=True) == []
    assert names(adapt_settings("rescale"), trained=True) == ["rescale"]
    assert names(adapt_settings("histogram"), trained=True) == ["histogram", "supervised"]
    assert names(adapt_settings("pretrain"), trained=True) == ["pretrain", "supervised"]
    assert names(adapt_settings("y-net")) == ["y-net"]


@pytest.mark.parametrize("profile", list(TRAINING))
@pytest.mark.parametrize("name", list(STEPS))
def test_every_step_has_valid_parameters_in_every_profile(name, profile):
    settings = adapt_settings(name, profile)
    step = next(step for step in settings.chain(trained=False) if step.name == name)
    assert step.stage in STAGES
    assert step.summary
    assert step.source
    assert set(step.profiles) <= set(TRAINING)
    for key, value in step.profiles.get(profile, {}).items():
        shown = step.model_dump()[key]
        assert type(step).model_validate({key: value}).model_dump()[key] == shown


def test_what_is_given_stands_above_the_profile():
    settings = adapt_settings(
        "mean-teacher", "best", **{"mean-teacher": {"epochs": 3}, "train": {"epochs": 5}, "seed": 9, "candidates": 4}
    )
    step = settings.chain(trained=True)[0]
    assert (step.epochs, step.batch) == (3, 8)
    assert (settings.train.epochs, settings.train.patch_px) == (5, 256)
    assert (settings.train.seed, settings.candidates) == (9, 4)


def test_the_paper_is_the_published_baseline():
    train = adapt_settings("none", "paper").train
    assert (train.model, train.patch_px, train.batch, train.epochs) == ("attention_unet", 256, 6, 360)
    assert (train.optimiser, train.learning_rate, train.schedule) == ("sgd", 2e-3, "constant")
    assert train.loss_of("mask", 2) == "bce"
    pretrained = adapt_settings("histogram+pretrain", "paper").train
    assert (pretrained.optimiser, pretrained.learning_rate, pretrained.epochs) == ("adam", 1e-4, 60)
    assert adapt_settings("none", "paper").selection == "solidity"


@pytest.mark.parametrize("text", ["", "+", "rescale+", "Rescale", "none+rescale"])
def test_unknown_methods_list_the_known_ones(text):
    with pytest.raises(BadInput, match="mean-teacher"):
        parse_method(text)
