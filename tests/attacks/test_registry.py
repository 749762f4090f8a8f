"""What every attack keeps to, whatever it does."""

from __future__ import annotations

import copy
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from anyscope.attacks import ATTACKS, Target, class_logits
from anyscope.attacks.ball import size_of
from anyscope.errors import BadInput

from .conftest import discs, overlap

NAMES = list(ATTACKS)
GRADIENT = [name for name in NAMES if ATTACKS[name].uses_gradient]
RADIUS = {"linf": 8 / 255, "l2": 1.0}


def made(name, epsilon, norm="linf"):
    """The attack with its own parameters, but few steps: enough for everything except strength."""
    kind = ATTACKS[name]
    return kind(epsilon, norm, steps=6) if name in MANY_STEPS else kind(epsilon, norm)


MANY_STEPS = [name for name in NAMES if getattr(ATTACKS[name](0.1), "resolved_steps", 1) > 20]


@pytest.mark.parametrize("name", NAMES)
def test_entries_say_what_they_are(name):
    kind = ATTACKS[name]
    assert kind.name == name
    assert kind.summary
    assert kind.source


def test_the_attacks_of_the_assay_are_there():
    assert NAMES == [
        "fgsm", "ifgsm", "pgd", "segpgd", "cospgd", "apgd", "sea_balanced", "sea_masked", "sea_js", "sea", "square",
        "random_noise",
    ]  # fmt: skip
    assert [name for name in NAMES if not ATTACKS[name].uses_gradient] == ["square", "random_noise"]


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("name", NAMES)
def test_the_ball_and_the_range_are_kept_and_nothing_else_changes(name, norm, net):
    images, target = discs(3, seed=2)
    before = (images.clone(), target.labels.clone(), copy.deepcopy(net.state_dict()), torch.get_rng_state())
    changed = made(name, RADIUS[norm], norm)(class_logits(net), images, target, [1, 2, 3])
    assert changed.shape == images.shape
    assert changed.dtype == images.dtype
    assert not changed.requires_grad
    assert changed.min() >= 0
    assert changed.max() <= 1
    sizes = size_of(changed - images, norm)
    assert (sizes <= RADIUS[norm] + 1e-6).all()
    # how much of the ball is left unused depends on the network, whose training differs from machine to machine
    assert (sizes >= 0.25 * RADIUS[norm]).all()
    assert torch.equal(images, before[0])
    assert torch.equal(target.labels, before[1])
    assert all(torch.equal(value, before[2][key]) for key, value in net.state_dict().items())
    assert torch.equal(torch.get_rng_state(), before[3])
    assert all(parameter.grad is None and parameter.requires_grad for parameter in net.parameters())
    assert not net.training


@pytest.mark.parametrize("name", NAMES)
def test_training_mode_stays(name, net):
    network = copy.deepcopy(net).train()
    images, target = discs(2, seed=2)
    made(name, 8 / 255)(class_logits(network), images, target, [1, 2])
    assert network.training


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("name", NAMES)
def test_an_image_depends_on_itself_and_its_seed_alone(name, norm, net):
    """In double precision, where the order in which a convolution adds does not decide the sign of a gradient."""
    network = class_logits(copy.deepcopy(net).double())
    images, target = discs(4, seed=3)
    images = images.double()
    attack = made(name, RADIUS[norm], norm)
    together = attack(network, images, target, [5, 6, 7, 8])
    assert torch.equal(together, attack(network, images, target, [5, 6, 7, 8]))
    alone = attack(network, images[2:3], Target(target.labels[2:3], target.valid[2:3]), [7])
    torch.testing.assert_close(together[2:3], alone, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ["pgd", "segpgd", "cospgd", "random_noise"])
def test_another_seed_is_another_start(name, net):
    images, target = discs(2, seed=3)
    images[1], target.labels[1] = images[0], target.labels[0]
    changed = made(name, 8 / 255)(class_logits(net), images, target, [1, 2])
    assert not torch.equal(changed[0], changed[1])


@pytest.mark.parametrize("name", GRADIENT)
def test_ignored_pixels_do_not_matter(name, net):
    images, target = discs(2, seed=4)
    target.valid[:, :, 20:] = False
    other = Target(target.labels.clone(), target.valid)
    other.labels[:, :, 20:] = 255
    attack = made(name, 8 / 255)
    changed, same = (attack(class_logits(net), images, each, [1, 2]) for each in (target, other))
    assert torch.equal(changed, same)


@pytest.mark.parametrize("name", ["fgsm", "ifgsm"])
def test_pixels_far_from_valid_ones_stay(name, net):
    images, target = discs(1, seed=4)
    target.valid[:, :, 10:] = False
    changed = made(name, 8 / 255)(class_logits(net), images, target, [1])
    assert torch.equal(changed[..., 13:], images[..., 13:])  # three 3 x 3 convolutions reach 3 pixels
    assert not torch.equal(changed[..., :10], images[..., :10])


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("name", [name for name in GRADIENT if name != "sea"])  # its parts are there
def test_more_epsilon_is_at_least_as_strong_and_beats_noise(name, norm, net):
    network = class_logits(net)
    images, target = discs(4, seed=5)
    clean = overlap(network(images), target)
    assert clean > 0.85
    radii = [0.02, 0.05, 0.1, 0.3] if norm == "linf" else [0.5, 1.0, 2.0, 8.0]

    def scores(kind):
        return [overlap(network(ATTACKS[kind](e, norm)(network, images, target, range(4))), target) for e in radii]

    attacked, control = scores(name), scores("random_noise")
    # A single step need not get worse forever; the others keep their worst image.
    assert all(after <= before + 0.01 for before, after in pairwise([clean, *attacked]))
    assert all(score < noise for score, noise in zip(attacked, control, strict=True))
    if name != "fgsm":
        assert attacked[-1] < 0.2 * clean


@pytest.mark.parametrize("name", ["ifgsm", "pgd", "segpgd", "cospgd"])
def test_more_steps_are_at_least_as_strong(name, net):
    network = class_logits(net)
    images, target = discs(4, seed=6)
    scores = []
    for steps in (1, 5, 20, 60):
        attack = ATTACKS[name](0.03, steps=steps, step_size=0.004)
        scores.append(overlap(network(attack(network, images, target, range(4))), target))
    assert all(after <= before + 0.01 for before, after in pairwise(scores))
    assert scores[-1] < scores[0] - 0.05


@pytest.mark.parametrize("name", ["ifgsm", "pgd", "segpgd", "cospgd"])
def test_what_is_kept_is_the_worst(name, net):
    network = class_logits(net)
    images, target = discs(4, seed=7)
    attack = ATTACKS[name](0.04, steps=6, step_size=0.04)
    scores, right = {}, {}
    for keep in ("overlap", "pixels", "last"):
        logits = network(replace(attack, keep=keep)(network, images, target, range(4)))
        scores[keep] = sum(overlap(logits[i : i + 1], Target(target.labels[i], target.valid[i])) for i in range(4))
        right[keep] = int((logits.argmax(dim=1) == target.labels).sum())
    assert scores["overlap"] == min(scores.values())
    assert right["pixels"] == min(right.values())


@pytest.mark.parametrize("name", NAMES)
def test_no_radius_no_change_and_no_images_no_result(name, net):
    images, target = discs(2, seed=8)
    assert torch.equal(made(name, 0.0)(class_logits(net), images, target, [1, 2]), images)
    none = Target(target.labels[:0], target.valid[:0])
    assert made(name, 0.1)(class_logits(net), images[:0], none, []).shape == (0, 1, 32, 32)


@pytest.mark.parametrize("name", NAMES)
def test_callers_in_inference_mode(name, net):
    images, target = discs(2, seed=9)
    attack = made(name, 8 / 255)
    expected = attack(class_logits(net), images, target, [1, 2])
    with torch.inference_mode():
        inside = Target(target.labels.clone(), target.valid.clone())
        changed = attack(class_logits(net), images.clone(), inside, [1, 2])
    assert torch.equal(changed, expected)


@pytest.mark.parametrize("name", NAMES)
def test_several_channels(name):
    """Neighbouring slices: each of them is attacked."""
    images = torch.rand((2, 3, 12, 10), generator=torch.Generator().manual_seed(0))
    labels = (images[:, 1] > 0.5).long()
    weights = torch.tensor([1.0, 3.0, -2.0]).view(1, 3, 1, 1)

    def network(batch):
        z = (batch * weights).sum(dim=1, keepdim=True)
        return torch.cat([torch.zeros_like(z), z], dim=1)

    changed = ATTACKS[name](0.05)(network, images, Target(labels, torch.ones_like(labels).bool()), [1, 2])
    assert ((changed - images).abs().amax(dim=(2, 3)) > 0.04).all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"epsilon": -0.1}, "epsilon"),
        ({"epsilon": float("nan")}, "epsilon"),
        ({"epsilon": 0.1, "norm": "l1"}, "norm"),
        ({"epsilon": 0.1, "steps": 0}, "steps"),
        ({"epsilon": 0.1, "step_size": 0.0}, "step_size"),
        ({"epsilon": 0.1, "keep": "best"}, "keep"),
        ({"epsilon": 0.1, "squashing": "tanh"}, "squashing"),
    ],
)
def test_impossible_parameters(arguments, words):
    with pytest.raises(BadInput, match=words):
        ATTACKS["cospgd"](**arguments)


@pytest.mark.parametrize("name", NAMES)
def test_batches_that_do_not_fit(name, net):
    images, target = discs(2, seed=10)
    attack, network = made(name, 0.1), class_logits(net)
    with pytest.raises(BadInput, match="seeds: 1 for 2 images"):
        attack(network, images, target, [1])
    with pytest.raises(BadInput, match=r"0\.\.1"):
        attack(network, images * 255, target, [1, 2])
    with pytest.raises(BadInput, match="target.labels"):
        attack(network, images, Target(target.labels[:1], target.valid), [1, 2])
    with pytest.raises(BadInput, match="floats"):
        attack(network, images[:, 0], target, [1, 2])


@pytest.mark.parametrize("name", GRADIENT)
def test_networks_and_labels_that_do_not_fit(name, net):
    images, target = discs(2, seed=10)
    with pytest.raises(BadInput, match="class_logits"):
        made(name, 0.1)(lambda batch: batch, images, target, [1, 2])
    with pytest.raises(BadInput, match="2 classes"):
        made(name, 0.1)(class_logits(net), images, Target(target.labels * 2, target.valid), [1, 2])
