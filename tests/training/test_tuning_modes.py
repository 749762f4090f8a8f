"""Which weights learn, how fast, and that a training that was stopped ends as one that was not."""

from __future__ import annotations

import doctest

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from anyscope.errors import BadInput
from anyscope.models import SegmenterSpec, build_segmenter, is_adapter
from anyscope.models.encoders import encoder_names, with_encoder
from anyscope.models.nets.parts import EncoderNames
from anyscope.running.run_folder import RunFolder
from anyscope.training import tuning_modes
from anyscope.training.loop import SupervisedCourse, fit_patches
from anyscope.training.optimisation import make_optimiser, make_schedule, step_batch
from anyscope.training.pretraining import pretrain_settings
from anyscope.training.settings import train_settings
from anyscope.training.tuning_modes import (
    check_tuning,
    describe_tuning,
    epochs_kept,
    keeping,
    level_depths,
    rate_factors,
)

FILTERS = [4, 6, 8]
TINY = {
    "model": "unet_simple",
    "arguments": {"filters": FILTERS, "norm": "batch"},
    "patch_px": 16,
    "batch": 2,
    "epochs": 4,
    "steps_per_epoch": 2,
    "learning_rate": 0.02,
}
ADAPTED = {"model": "sam_unet", "arguments": {"encoder": "samvit_nano", "lora_rank": 2}, "patch_px": 32}
"""Four patches of the transformer: where there is one, attention does not depend on queries."""


def tiny(**changes):
    return train_settings(**{**TINY, **changes})


def network(settings, seed=0):
    return build_segmenter(SegmenterSpec(model=settings.model, arguments=settings.arguments, task="semantic"), seed)


def state(module):
    return {key: value.clone() for key, value in module.state_dict().items()}


def changed(before, module):
    return {key for key, value in module.state_dict().items() if not torch.equal(value, before[key])}


class Numbered(torch.utils.data.Dataset):
    """Patches whose bright pixels are foreground."""

    def __init__(self, px):
        self.px = px

    def __getitem__(self, number):
        image = torch.rand(1, self.px, self.px, generator=torch.Generator().manual_seed(number))
        return {"images": image, "targets": (image > 0.5).float(), "valid": torch.ones(self.px, self.px).bool()}


class Killed(Exception):
    pass


def train(settings, folder, kill_at=None, keep=None):
    """The network after its training, which is killed at a step where one is given."""
    folder.mkdir(exist_ok=True)
    segmenter = network(settings)
    with pytest.MonkeyPatch.context() as patch:
        if kill_at is not None:
            step = SupervisedCourse.step

            def dying(self, number):
                if number == kill_at:
                    raise Killed
                return step(self, number)

            patch.setattr(SupervisedCourse, "step", dying)
        fit_patches(segmenter, Numbered(settings.patch_px), None, settings, RunFolder(folder), cpu=True, keep=keep)
    return segmenter


def test_doctests():
    assert doctest.testmod(tuning_modes).failed == 0


def test_a_frozen_encoder_stays_bit_for_bit_and_the_rest_learns(tmp_path):
    settings = tiny(tune="frozen")
    before = state(network(settings))
    trained = train(settings, tmp_path / "run")
    moved = changed(before, trained)
    levels = encoder_names(trained).levels
    assert levels == ("net.down.0.", "net.down.1.")
    assert not any(key.startswith(levels) for key in moved)
    weights = {key for key in before if key.endswith("weight")}
    assert moved >= {key for key in weights if not key.startswith(levels)}
    assert all(each.requires_grad for each in trained.parameters())


def test_decoder_first_begins_as_frozen_and_ends_with_all(tmp_path):
    settings = tiny(tune="decoder-first", decoder_first=0.5, ema=0)
    seen = {}
    trained = train(settings, tmp_path / "run", keep=lambda epoch, weights: seen.update({epoch: state(weights)}))
    start = network(settings)
    levels = encoder_names(trained).levels
    moved = {epoch: {key for key in weights if not torch.equal(weights[key], start.state_dict()[key])}
             for epoch, weights in seen.items()}  # fmt: skip
    assert not any(key.startswith(levels) for epoch in (1, 2) for key in moved[epoch])
    assert any(key.startswith("net.head") for key in moved[1])
    assert {key for key in seen[3] if key.endswith("weight")} <= moved[3]
    assert any(key.startswith(levels) and "running_mean" in key for key in moved[3])


@given(epochs=st.integers(2, 50), share=st.floats(0.01, 0.99))
def test_decoder_first_leaves_epochs_to_both(epochs, share):
    assert 1 <= epochs_kept(tiny(tune="decoder-first", epochs=epochs, decoder_first=share)) <= epochs - 1


def test_what_learns_is_said():
    settings = tiny(tune="decoder-first", decoder_first=0.5, layer_decay=0.5)
    segmenter = network(settings)
    total = sum(each.numel() for each in segmenter.parameters())
    levels = encoder_names(segmenter).levels
    encoder = sum(each.numel() for name, each in segmenter.named_parameters() if name.startswith(levels))
    assert describe_tuning(segmenter, settings) == (
        f"decoder-first: {total - encoder:,} of {total:,} parameters learn for 2 epoch(s), then all; "
        "learning rates of the encoder from 0.25 to 0.5 times the decoder's"
    )
    assert describe_tuning(segmenter, tiny()) == f"full: {total:,} of {total:,} parameters learn"


def test_one_epoch_cannot_be_divided():
    with pytest.raises(BadInput, match="'decoder-first' needs 2 epochs"):
        tiny(tune="decoder-first", epochs=1)


def test_adapters_and_the_decoder_learn(tmp_path):
    settings = tiny(tune="lora", **ADAPTED)
    before = state(network(settings))
    trained = train(settings, tmp_path / "run")
    moved = changed(before, trained)
    encoder = {key for key in before if key.startswith("net.encoder.")}
    assert moved & encoder == {key for key in before if is_adapter(key)}
    assert len(moved & encoder) == 4 * 8
    learning = {key for key, _ in trained.named_parameters()} - encoder
    assert learning
    assert learning <= moved
    assert all(each.requires_grad for each in trained.parameters())


def test_pre_training_too_leaves_what_adapters_stand_beside():
    settings = pretrain_settings(**{**TINY, **ADAPTED, "parameters": {"piece_px": 8}})
    segmenter = network(settings)
    with keeping(segmenter, settings, settings.epochs - 1):
        kept = {name for name, each in segmenter.named_parameters() if not each.requires_grad}
    assert kept == {name for name in state(segmenter) if name.startswith("net.encoder.") and not is_adapter(name)}
    plain = network(tiny())
    with keeping(plain, settings, 0):
        assert all(each.requires_grad for each in plain.parameters())


def test_the_line_counts_adapters_and_decoder_alone():
    settings = tiny(tune="lora", **ADAPTED)
    segmenter = network(settings)
    total = sum(each.numel() for each in segmenter.parameters())
    encoder = sum(each.numel() for each in segmenter.net.encoder.parameters())
    adapters = 8 * 4 * 2 * 128  # blocks, matrices, rank, channels
    assert describe_tuning(segmenter, settings) == (
        f"lora: {total - encoder + adapters:,} of {total:,} parameters learn"
    )


def test_a_network_without_adapters_is_refused():
    with pytest.raises(BadInput, match=r"model 'unet_simple': has no low-rank.*lora_rank: sam_unet, sam_unet_base"):
        check_tuning(network(tiny()), tiny(tune="lora"))
    without = tiny(tune="lora", model="sam_unet", arguments={"encoder": "samvit_nano"})
    with pytest.raises(BadInput, match=r"--set arguments\.lora_rank=4"):
        check_tuning(network(without), without)
    given = tiny(tune="lora", **ADAPTED)
    check_tuning(network(given), given)  # what the remedy says helps


@pytest.mark.parametrize("tune", ["full", "frozen", "decoder-first"])
def test_adapters_are_for_lora_alone(tune):
    settings = tiny(tune=tune, **ADAPTED)
    with pytest.raises(BadInput, match=rf"tune={tune} is not meant.*--set tune=lora or --set arguments\.lora_rank=0"):
        check_tuning(network(settings), settings)
    settings = tiny(tune=tune, **{**ADAPTED, "arguments": {"encoder": "samvit_nano", "lora_rank": 0}})
    check_tuning(network(settings), settings)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tune": "frozen"}, "tune=frozen"),
        ({"tune": "decoder-first"}, "tune=decoder-first"),
        ({"tune": "lora"}, "tune=lora"),
        ({"layer_decay": 0.75}, r"layer_decay=0\.75"),
        ({"encoder_rate": 0.1}, r"encoder_rate=0\.1"),
    ],
)
def test_a_network_without_an_encoder_is_refused(changes, words, tmp_path):
    settings = train_settings(model="icnet", arguments={"width": 0.1}, **changes)
    with pytest.raises(BadInput, match=f"model 'icnet'.*{words}.*models that work: unet"):
        fit_patches(network(settings), Numbered(16), None, settings, RunFolder(tmp_path), cpu=True)
    assert not list(tmp_path.iterdir())
    check_tuning(network(settings), train_settings(model="icnet"))


def test_rates_fall_from_the_decoder_to_the_image():
    settings = tiny(layer_decay=0.5, encoder_rate=0.8, learning_rate=1.0)
    segmenter = network(settings)
    optimiser = make_optimiser(segmenter.parameters(), settings, rate_factors(segmenter, settings))
    rates = {
        name: group["lr"]
        for name, parameter in segmenter.named_parameters()
        for group in optimiser.param_groups
        if any(parameter is each for each in group["params"])
    }
    assert set(rates) == {name for name, _ in segmenter.named_parameters()}
    expected = {"net.down.0.": 0.8 * 0.25, "net.down.1.": 0.8 * 0.5}
    for name, rate in rates.items():
        assert rate == pytest.approx(expected.get(name[:11], 1.0))
    assert [group["lr"] for group in optimiser.param_groups] == pytest.approx([1.0, 0.4, 0.2])


def test_without_factors_there_is_one_group_as_before():
    segmenter = network(tiny())
    assert rate_factors(segmenter, tiny()) == {}
    [group] = make_optimiser(segmenter.parameters(), tiny()).param_groups
    assert all(one is other for one, other in zip(group["params"], segmenter.parameters(), strict=True))


def test_one_cycle_has_the_published_end_points_in_every_group():
    settings = tiny(layer_decay=0.5, learning_rate=1.0, epochs=10, steps_per_epoch=10)
    segmenter = network(settings)
    optimiser = make_optimiser(segmenter.parameters(), settings, rate_factors(segmenter, settings))
    schedule = make_schedule(optimiser, settings)
    rates = []
    for _ in range(100):
        rates.append([group["lr"] for group in optimiser.param_groups])
        optimiser.step()
        step_batch(schedule)
    for place, largest in enumerate((1.0, 0.5, 0.25)):
        own = [each[place] for each in rates]
        assert own[0] == pytest.approx(largest / 25)
        assert max(own) == pytest.approx(largest)
        assert own[-1] == pytest.approx(largest / 25e4)


def test_blocks_of_a_transformer_are_counted_from_the_decoder():
    """Twelve blocks and the embedding, as MAE's fine-tuning numbers them."""
    segmenter = build_segmenter(SegmenterSpec(model="segmenter", task="semantic"), 0)
    names = [name for name, _ in segmenter.named_parameters() if name.startswith("net.encoder.")]
    depths = level_depths(names, ("net.encoder.",))
    for name, depth in depths.items():
        if ".blocks." in name:
            assert depth == 12 - int(name.split(".")[3])
        else:
            assert depth == (1 if name.startswith("net.encoder.norm.") else 13)


@pytest.mark.parametrize("name", with_encoder())
def test_every_encoder_has_levels(name):
    segmenter = build_segmenter(SegmenterSpec(model=name, task="semantic"), 0)
    levels = encoder_names(segmenter).levels
    names = [each for each, _ in segmenter.named_parameters() if each.startswith(levels)]
    depths = level_depths(names, levels)
    assert set(depths) == set(names)
    assert set(depths.values()) == set(range(1, max(depths.values()) + 1))
    assert len(set(depths.values())) > 1
    assert depths[names[0]] == max(depths.values())
    with keeping(segmenter, train_settings(model=name, tune="frozen"), 0):
        assert not any(each.requires_grad for key, each in segmenter.named_parameters() if key.startswith(levels))
        assert any(each.requires_grad for each in segmenter.parameters())


def test_levels_that_a_model_names_are_its_depths():
    levels = EncoderNames(("e.patch.", "e.blocks.0.", "e.blocks.1.")).levels
    found = level_depths(["e.patch.w", "e.blocks.0.1.w", "e.blocks.1.w", "decoder.w"], levels)
    assert found == {"e.patch.w": 3, "e.blocks.0.1.w": 2, "e.blocks.1.w": 1}


@pytest.mark.parametrize("kill_at", [3, 5])
@pytest.mark.parametrize(
    "changes",
    [
        {"tune": "frozen"},
        {"tune": "decoder-first", "decoder_first": 0.5},
        {"tune": "decoder-first", "decoder_first": 0.5, "schedule": "plateau", "layer_decay": 0.5},
        {"layer_decay": 0.7, "encoder_rate": 0.5, "optimiser": "sgd"},
        {"tune": "lora", "layer_decay": 0.5},
    ],
    ids=lambda changes: "-".join(map(str, changes.values())),
)
def test_killed_and_resumed_is_never_killed(tmp_path, changes, kill_at):
    settings = tiny(**changes, **(ADAPTED if changes.get("tune") == "lora" else {}))
    whole = train(settings, tmp_path / "whole")
    with pytest.raises(Killed):
        train(settings, tmp_path / "killed", kill_at=kill_at)
    assert not changed(state(whole), train(settings, tmp_path / "killed"))
