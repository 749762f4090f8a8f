"""Settings, losses, augmentation, optimisation and checkpoints, each against an oracle or a case worked by hand."""

from __future__ import annotations

import doctest
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torchmetrics.functional.segmentation import dice_score

from anyscope.datasets import open_dataset
from anyscope.datasets.patches import Patch
from anyscope.errors import BadInput
from anyscope.images import write_image, write_labels
from anyscope.seeding import generator
from anyscope.training import losses
from anyscope.training.augmentation import augment, centre
from anyscope.training.batches import labelled_patches
from anyscope.training.checkpoint import load_checkpoint, save_checkpoint
from anyscope.training.losses import LOSSES, combined_loss
from anyscope.training.optimisation import freeze, make_average, make_optimiser, make_schedule, step_batch, step_epoch
from anyscope.training.settings import PROFILES, AugmentationSettings, TrainSettings, train_settings
from anyscope.training.validation import decoders_for

STILL = AugmentationSettings(
    flips=False, angle_degrees=0, scale=1, elastic_px=0, contrast=0, brightness=0, gamma=1, noise=0, blur_px=0
)


def test_doctests():
    assert doctest.testmod(losses).failed == 0


@pytest.fixture
def logits():
    return torch.randn(3, 1, 8, 9, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def mask():
    return (torch.rand(3, 8, 9, generator=torch.Generator().manual_seed(1)) > 0.6).float()


ALL = torch.ones(3, 8, 9, dtype=torch.bool)


def test_binary_losses_agree_with_torch(logits, mask):
    expected = F.binary_cross_entropy_with_logits(logits[:, 0], mask)
    assert torch.isclose(LOSSES["bce"](logits, mask, ALL), expected)
    assert torch.isclose(LOSSES["ce"](logits, mask, ALL), expected)
    assert torch.isclose(LOSSES["mse"](logits, mask, ALL), F.mse_loss(logits[:, 0].tanh(), mask))


def test_balanced_cross_entropy_by_hand():
    """Three pixels of class 0 and one of class 1: each class is half of the loss."""
    logits, target = torch.tensor([[[[0.0, 1.0, -1.0, 2.0]]]]), torch.tensor([[[0.0, 0.0, 0.0, 1.0]]])
    each = F.binary_cross_entropy_with_logits(logits[:, 0], target, reduction="none")[0, 0]
    expected = (each[:3].mean() + each[3]) / 2
    assert torch.isclose(LOSSES["balanced"](logits, target, torch.ones(1, 1, 4, dtype=torch.bool)), expected)


def test_dice_of_a_hard_mask_is_that_of_torchmetrics(mask):
    other = (torch.rand(mask.shape, generator=torch.Generator().manual_seed(2)) > 0.5).float()
    ours = 1 - LOSSES["dice"]((other[:, None] * 2 - 1) * 50, mask, ALL)
    theirs = dice_score(
        other.reshape(1, 1, -1).long(), mask.reshape(1, 1, -1).long(), num_classes=1, include_background=True
    )
    assert abs(float(ours) - float(theirs)) < 1 / (float(mask.sum() + other.sum()))


def test_losses_by_hand():
    logits = torch.tensor([[[[0.0, math.log(3)]]]])
    target = torch.tensor([[[1.0, 0.0]]])
    both = torch.ones(1, 1, 2, dtype=torch.bool)
    assert LOSSES["bce"](logits, target, both).item() == pytest.approx((math.log(2) + math.log(4)) / 2)
    assert LOSSES["focal"](logits, target, both).item() == pytest.approx(
        (0.25 * math.log(2) + 0.75**2 * math.log(4)) / 2
    )
    assert LOSSES["dice"](logits, target, both).item() == pytest.approx(1 - (2 * 0.5 + 1) / (0.5 + 0.75 + 1 + 1))


def test_several_classes_agree_with_torch():
    logits = torch.randn(2, 4, 5, 6, generator=torch.Generator().manual_seed(0))
    target = torch.randint(0, 4, (2, 5, 6), generator=torch.Generator().manual_seed(1)).float()
    valid = torch.ones(2, 5, 6, dtype=torch.bool)
    assert torch.isclose(LOSSES["ce"](logits, target, valid), F.cross_entropy(logits, target.long()))
    perfect = F.one_hot(target.long(), 4).movedim(-1, 1).float() * 100
    assert LOSSES["dice"](perfect, target, valid) < 1e-3


@pytest.mark.parametrize("name", list(LOSSES))
def test_pixels_that_do_not_count_do_not(name, logits, mask):
    valid = ALL.clone()
    valid[:, :, 4:] = False
    changed = logits.clone()
    changed[..., 4:] = 7
    assert torch.equal(LOSSES[name](logits, mask, valid), LOSSES[name](changed, mask, valid))
    assert not torch.equal(LOSSES[name](logits, mask, ALL), LOSSES[name](changed, mask, ALL))
    assert torch.isfinite(LOSSES[name](logits, mask, torch.zeros_like(valid)))


@pytest.mark.parametrize("name", list(LOSSES))
def test_every_loss_falls_towards_the_target_and_has_a_gradient(name, mask):
    right, wrong = (mask[:, None] * 2 - 1) * 3, (mask[:, None] * -2 + 1) * 3
    assert LOSSES[name](right, mask, ALL) < LOSSES[name](wrong, mask, ALL)
    wrong.requires_grad_()
    LOSSES[name](wrong, mask, ALL).backward()
    assert wrong.grad.abs().sum() > 0


def test_sums_of_losses(logits, mask):
    both = combined_loss("bce+0.5*dice")(logits, mask, ALL)
    assert torch.isclose(both, LOSSES["bce"](logits, mask, ALL) + 0.5 * LOSSES["dice"](logits, mask, ALL))
    for text in ("", "bce+", "bce*2", "bce-dice"):
        with pytest.raises(BadInput):
            combined_loss(text)
    with pytest.raises(BadInput, match="loss 'dize'.*did you mean 'dice'"):
        combined_loss("dize")


@pytest.mark.parametrize("profile", list(PROFILES))
def test_every_profile_is_valid(profile):
    assert isinstance(train_settings(profile), TrainSettings)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epocs": 3}, "setting 'epocs'.*did you mean 'epochs'"),
        ({"epochs": 0}, "setting 'epochs'.*found 0"),
        ({"augmentation": {"noise": 2}}, r"setting 'augmentation\.noise'"),
        ({"losses": {"mask": "bcee"}}, "loss 'bcee'"),
        ({"losses": {"distance": "mse"}}, "no head 'distance'"),
        ({"heads": ["boundary"]}, "needs the head 'mask'"),
        ({"heads": ["mask", "rim"]}, "head 'rim'"),
        ({"heads": ["mask", "mask"]}, "listed twice"),
        ({"heads": ["mask", "affinities"], "offsets": [[0, 0, 0]]}, r"\(0, 0, 0\) leads to no other pixel"),
        ({"heads": ["mask"], "offsets": [[0, 0, 1]]}, "belong to the head 'affinities'"),
        ({"intensity": "fixed:5,1"}, "low < high"),
        ({"profile": "bestest"}, "profile 'bestest'"),
    ],
)
def test_wrong_settings_are_one_line_that_names_the_key(given, message):
    with pytest.raises(BadInput, match=message):
        train_settings(**given)


def test_a_spec_that_cannot_be_is_one_line():
    settings = train_settings(heads=["mask", "affinities"], offsets=[[0, 0, 1]] * 257)
    with pytest.raises(BadInput, match="setting 'offsets': .*at most 256") as caught:
        settings.spec(1)
    assert "\n" not in str(caught.value)


def test_what_is_ignored_makes_no_rim_in_a_patch(tmp_path):
    """Left half an object, right half ignored: targets by way of a dataset are those of an object without an end."""
    labels = np.ones((64, 64), np.uint8)
    labels[:, 32:] = 255
    write_image(tmp_path / "images" / "a.tif", np.full((1, 1, 64, 64), 90, np.uint8))
    write_labels(tmp_path / "labels" / "a.tif", labels[None])
    (tmp_path / "dataset.yaml").write_text("labels: instances\nignore: [255]\n")
    part = open_dataset(tmp_path).labelled(None)
    chosen = train_settings(
        task="instances", heads=["mask", "boundary", "affinities"], offsets=[[0, 0, 1]], patch_px=64
    )
    batch = labelled_patches(part, chosen, STILL, chosen.spec(1).layout, "train")[0]
    known = batch["valid"]
    assert known[:, :32].all()
    assert not known[:, 32:].any()
    mask, boundary, affinity = batch["targets"]
    assert mask[known].min() == 1
    assert boundary.max() == 0
    assert affinity[:, :31].min() == 1
    assert affinity[:, 31].isnan().all()


@pytest.mark.parametrize(
    ("offsets", "dimensions", "decoder", "message"),
    [
        ([[0, -1, 0], [0, 0, -1]], 2, "mutex_watershed", "decoder 'mutex_watershed'.*with offsets"),
        ([[0, -9, 0], [0, 0, -9]], 2, "agglomeration", "decoder 'agglomeration'.*with offsets.*expected components"),
    ],
)
def test_a_decoder_that_cannot_read_the_offsets_is_refused_before_training(offsets, dimensions, decoder, message):
    heads = ["mask", "affinities"]
    chosen = train_settings(task="instances", heads=heads, offsets=offsets, dimensions=dimensions, decoder=decoder)
    with pytest.raises(BadInput, match=message):
        decoders_for(chosen, chosen.spec(1), None)


def test_instances_bring_their_heads():
    assert train_settings(task="instances").heads == ("mask", "boundary", "distance")
    assert train_settings().heads == ("mask",)
    assert train_settings("best", augmentation={"noise": 0.2}).augmentation.angle_degrees == 180


def square(size=64, value=2**40):
    labels = np.zeros((size, size), np.int64)
    labels[size // 4 : size // 2, size // 4 : size // 2] = value
    return Patch((labels[None] > 0).astype(np.float32) * 0.8 + 0.1, labels[None], np.ones((1, size, size), bool))


def test_no_augmentation_is_the_middle_of_the_patch():
    patch = square()
    still = augment(patch, 48, STILL, generator(0))
    assert np.array_equal(still.labels, patch.labels[:, 8:56, 8:56])
    assert np.allclose(still.image, patch.image[:, 8:56, 8:56])
    assert np.array_equal(centre(patch, 48).labels, still.labels)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000))
def test_geometry_moves_image_and_labels_alike(seed):
    chosen = STILL.model_copy(update={"flips": True, "angle_degrees": 180, "scale": 1.5, "elastic_px": 3})
    moved = augment(square(), 48, chosen, generator(seed))
    assert set(np.unique(moved.labels)) <= {0, 2**40}
    certain = np.abs(moved.image[0] - 0.5) > 0.35
    assert np.array_equal((moved.image[0] > 0.5)[certain], (moved.labels[0] > 0)[certain])
    assert certain.mean() > 0.6


def test_augmentation_is_seeded_and_stays_in_range():
    first = augment(square(), 48, AugmentationSettings(noise=0.5, brightness=1), generator(0, "a"))
    again = augment(square(), 48, AugmentationSettings(noise=0.5, brightness=1), generator(0, "a"))
    assert np.array_equal(first.image, again.image)
    assert first.image.dtype == np.float32
    assert 0 <= first.image.min() <= first.image.max() <= 1
    assert not np.array_equal(first.image, augment(square(), 48, AugmentationSettings(), generator(0, "b")).image)


@pytest.mark.parametrize("field", ["contrast", "brightness", "gamma", "noise", "blur_px", "angle_degrees", "scale"])
def test_every_option_does_something(field):
    value = {"gamma": 2.0, "scale": 1.5, "angle_degrees": 90, "blur_px": 5, "contrast": 0.9}.get(field, 0.5)
    chosen = STILL.model_copy(update={field: value})
    assert not np.allclose(augment(square(), 48, chosen, generator(1)).image, centre(square(), 48).image, atol=1e-3)


def test_one_cycle_has_the_published_end_points():
    chosen = TrainSettings(epochs=10, steps_per_epoch=10, learning_rate=1.0)
    optimiser = make_optimiser([torch.nn.Parameter(torch.zeros(1))], chosen)
    schedule = make_schedule(optimiser, chosen)
    rates = []
    for _ in range(100):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        step_batch(schedule)
    assert rates[0] == pytest.approx(1 / 25)
    assert max(rates) == pytest.approx(1.0)
    assert rates.index(max(rates)) in (29, 30)
    assert rates[-1] == pytest.approx(1 / 25e4)


def test_plateau_halves_the_rate_when_nothing_improves():
    chosen = TrainSettings(schedule="plateau", learning_rate=1.0, optimiser="sgd")
    optimiser = make_optimiser([torch.nn.Parameter(torch.zeros(1))], chosen)
    schedule = make_schedule(optimiser, chosen)
    for _ in range(7):
        step_epoch(schedule, 1.0)
        step_batch(schedule)
    assert optimiser.param_groups[0]["lr"] == 0.5
    assert make_schedule(optimiser, TrainSettings(schedule="constant")) is None


def test_the_average_by_hand():
    model = torch.nn.Linear(1, 1, bias=False)
    average = make_average(model, 0.9)
    value = None
    for number, weight in enumerate([1.0, 2.0, 4.0]):
        with torch.no_grad():
            model.weight.fill_(weight)
        average.update_parameters(model)
        decay = min(0.9, (1 + number) / (10 + number))
        value = weight if value is None else decay * value + (1 - decay) * weight
    assert average.module.weight.item() == pytest.approx(value)
    assert make_average(model, 0) is None


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
def test_a_checkpoint_holds_the_whole_state(tmp_path, name):
    chosen = TrainSettings(optimiser=name)

    def steps(model, optimiser, schedule, count):
        for _ in range(count):
            optimiser.zero_grad()
            model(torch.ones(2, 3)).square().sum().backward()
            optimiser.step()
            step_batch(schedule)

    def fresh():
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = torch.nn.Linear(3, 2)
        optimiser = make_optimiser(model.parameters(), chosen)
        return model, optimiser, make_schedule(optimiser, chosen)

    whole = fresh()
    steps(*whole, 6)
    first = fresh()
    steps(*first, 3)
    state = {str(place): part.state_dict() for place, part in enumerate(first)} | {"best": -math.inf, "none": None}
    save_checkpoint(tmp_path / "c.safetensors", state)
    loaded = load_checkpoint(tmp_path / "c.safetensors")
    assert loaded["best"] == -math.inf
    assert loaded["none"] is None
    second = fresh()
    for place, part in enumerate(second):
        part.load_state_dict(loaded[str(place)])
    steps(*second, 3)
    assert torch.equal(whole[0].weight, second[0].weight)


def test_damaged_checkpoints_are_one_line(tmp_path):
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, {"a": torch.arange(1000)})
    data = path.read_bytes()
    save_file({"a": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    for name, content in {"cut": data[:200], "empty": b"", "text": b"hello"}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BadInput, match="not a whole checkpoint"):
            load_checkpoint(tmp_path / name)
    with pytest.raises(BadInput, match="not a whole checkpoint"):
        load_checkpoint(tmp_path / "foreign.safetensors")
    with pytest.raises(TypeError):
        save_checkpoint(path, {"a": object()})


def test_frozen_parts_stay_bit_for_bit_with_their_statistics():
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4)),
        torch.nn.Conv2d(4, 4, 3),
        torch.nn.BatchNorm2d(4),
    )
    before = {key: value.clone() for key, value in model.state_dict().items()}

    def train_one_step():
        model.train()
        optimiser = torch.optim.Adam([each for each in model.parameters() if each.requires_grad], lr=0.1)
        (model(torch.rand(2, 1, 9, 9)) ** 3).mean().backward()
        optimiser.step()
        return {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}

    with freeze(model, ("0.",)):
        moved = train_one_step()
    assert {"1.weight", "2.running_mean", "2.num_batches_tracked"} <= moved
    assert not any(key.startswith("0.") for key in moved)
    assert {"0.0.weight", "0.1.running_mean", "0.1.num_batches_tracked"} <= train_one_step()
    with pytest.raises(ValueError, match="'3.'"), freeze(model, ("3.",)):
        pass


@pytest.mark.parametrize(
    ("given", "nearest", "beside"),
    [
        ({"epoch": 3}, "epochs", "batch"),
        ({"augmentation": {"scal": 2}}, "augmentation.scale", "augmentation.noise"),
        ({"intensity": {"lo": 2}}, "intensity.low", "intensity.kind"),
    ],
)
def test_an_unknown_setting_is_refused_with_those_beside_it(given, nearest, beside):
    with pytest.raises(BadInput, match=f"did you mean '{nearest}'") as caught:
        train_settings(**given)
    assert beside in str(caught.value)
