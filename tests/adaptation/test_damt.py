from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

from anyscope.adaptation.damt import DAMT, DAMTCourse, Discriminators, domain_loss, domain_maps
from anyscope.adaptation.multitask import Outputs
from anyscope.contracts import HeadLayout
from anyscope.errors import BadInput
from anyscope.models import MODELS, SegmenterSpec, build_segmenter
from anyscope.training.objective import Objective
from anyscope.training.optimisation import freeze
from anyscope.training.settings import train_settings

from .stopping import run_and_kill

QUICK = DAMT(epochs=2, steps_per_epoch=3)


def state(module: nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in module.state_dict().items()}


def changed(before: dict[str, torch.Tensor], module: nn.Module) -> set[str]:
    return {key for key, value in module.state_dict().items() if not torch.equal(value, before[key])}


def test_a_binary_mask_is_shown_as_the_softmax_over_two_classes():
    logits = torch.randn(2, 1, 4, 5)
    expected = torch.softmax(torch.cat([torch.zeros_like(logits), logits], dim=1), dim=1)
    assert torch.allclose(domain_maps(logits, HeadLayout(("mask",))), expected)


def test_several_classes_and_heads_are_shown_activated():
    logits = torch.randn(2, 3, 4, 5)
    assert torch.allclose(domain_maps(logits, HeadLayout(("mask",), 3)), torch.softmax(logits, dim=1))
    maps = domain_maps(logits, HeadLayout(("mask", "boundary", "distance")))
    expected = [1 - logits[:, 0].sigmoid(), logits[:, 0].sigmoid(), logits[:, 1].sigmoid(), logits[:, 2].tanh()]
    assert torch.allclose(maps, torch.stack(expected, dim=1), atol=1e-6)


def test_domain_loss_worked_by_hand():
    logits = torch.tensor([0.0, math.log(3)])
    assert float(domain_loss(logits, source=True)) == pytest.approx(-(math.log(0.5) + math.log(0.75)) / 2)
    assert float(domain_loss(logits, source=False)) == pytest.approx(-(math.log(0.5) + math.log(0.25)) / 2)


def test_two_logits_and_cross_entropy_are_one_logit_and_its_own():
    """The published feature discriminator has two outputs; their difference says the same."""
    pairs = torch.randn(5, 2)
    expected = F.cross_entropy(pairs, torch.ones(5, dtype=torch.long))
    assert torch.isclose(domain_loss(pairs[:, 1] - pairs[:, 0], source=True), expected)


class Fixed(nn.Module):
    """Discriminators that always say the same."""

    def __init__(self, label: float, feature: float) -> None:
        super().__init__()
        self.values = nn.Parameter(torch.tensor([label, feature]))

    def forward(self, outputs):
        del outputs
        return self.values[:1], self.values[1:]


def test_discriminators_learn_half_the_sum_over_domains(work):
    course = DAMTCourse(QUICK, work)
    course._judges = Fixed(math.log(3), 0.0)
    nothing = Outputs(None, None, None, torch.zeros(()))
    expected = -(math.log(0.75) + math.log(0.25) + 2 * math.log(0.5)) / 2
    assert course.discriminator_loss(nothing, nothing).item() == pytest.approx(expected)


def test_the_loss_is_the_published_sum(work):
    losses = DAMTCourse(QUICK, work)
    losses.begin_epoch(0)
    found = {name: float(value) for name, value in losses.step(0).items()}
    expected = found["segmentation"] + 0.0005 * found["reconstruction"] + 0.001 * (found["label"] + found["feature"])
    assert found["loss"] == pytest.approx(expected, rel=1e-6)


def test_losses_of_a_step_from_outside(make_work):
    """The same losses from the networks' outputs, put together again."""
    work = make_work(losses={"mask": "ce"})
    course = DAMTCourse(QUICK, work)
    course.begin_epoch(0)
    source, target = work.batch(course._source, 0), work.batch(course._target, 0)
    with torch.inference_mode():
        of_source, of_target = course._net(source["images"]), course._net(target["images"])
        of_labels, of_features = course._judges(of_target)
        objective = Objective(HeadLayout(("mask",)), ("bce",))
        expected = {
            "segmentation": objective(lambda _: of_source.logits, source),
            "reconstruction": (
                ((of_source.image - source["images"]) ** 2).mean() + ((of_target.image - target["images"]) ** 2).mean()
            )
            / 2,
            "label": -of_labels.sigmoid().log().mean(),
            "feature": -of_features.sigmoid().log().mean(),
        }
    found = course.step(0)
    for name, value in expected.items():
        assert float(found[name]) == pytest.approx(float(value), rel=1e-4), name


def test_a_step_moves_networks_and_discriminators_each_by_its_own_loss(work):
    course = DAMTCourse(QUICK, work)
    before, judges = state(course._net), state(course._judges)
    course.begin_epoch(0)
    source = course._net(work.batch(course._source, 0)["images"])
    course._descent.optimiser.zero_grad()
    course.discriminator_loss(source, source).backward()
    assert all(parameter.grad is None for parameter in course._net.parameters())
    course._ascent.optimiser.zero_grad()
    course.step(0)
    parameters = {name for name, _ in course._net.named_parameters()}
    assert {name for name in parameters if name in changed(before, course._net)} == parameters
    assert changed(judges, course._judges)


def test_the_segmenter_alone_learns_from_the_adversarial_terms(work):
    judges = Discriminators(work.segmenter, 32, 4, 0)
    logits = torch.randn(2, 1, 32, 32, requires_grad=True)
    features = torch.randn(2, 4, 32, 32, requires_grad=True)
    with judges.judging():
        of_labels, of_features = judges(Outputs(logits, features, None, torch.zeros(())))
    (domain_loss(of_labels, source=True) + domain_loss(of_features, source=True)).backward()
    assert logits.grad.abs().sum() > 0
    assert features.grad.abs().sum() > 0
    assert all(parameter.grad is None and parameter.requires_grad for parameter in judges.parameters())


def test_paper_profile_is_the_published_one():
    step = DAMT(**DAMT.profiles["paper"])
    assert (step.reconstruction, step.label, step.feature) == (0.0005, 0.001, 0.001)
    assert (step.learning_rate, step.discriminator_rate) == (5e-5, 1e-4)
    assert (step.schedule, step.decay_steps, step.discriminator_decay_steps) == ("steps", 6000, 3000)
    settings = train_settings(**DAMT.training["paper"])
    assert (settings.patch_px, settings.batch) == (512, 1)
    assert step.cells == settings.patch_px // 8
    assert MODELS[settings.model].check(settings.arguments).filters == (64, 128, 256, 512, 1024)
    assert MODELS[settings.model].check(settings.arguments).norm == "group"


@pytest.mark.parametrize(
    ("heads", "model", "arguments"),
    [
        (("mask",), "unet_simple", {"filters": [4, 8], "norm": "group"}),
        (("mask", "boundary", "distance"), "unet_simple", {"filters": [4, 8]}),
        (("mask",), "segnet", {"width": 0.0625}),
    ],
)
def test_from_end_to_end(make_work, heads, model, arguments):
    work = make_work(heads=heads, model=model, arguments=arguments, task="instances" if len(heads) > 1 else "semantic")
    before = state(work.segmenter)
    assert QUICK.run(work) is work
    assert sorted(work.kept()) == [0, 1, 2]
    last = load_file(work.kept()[2])
    assert all(torch.equal(value, work.segmenter.state_dict()[key]) for key, value in last.items())
    assert changed(before, work.segmenter)
    assert not work.segmenter.training


def test_what_was_frozen_before_stays_as_it_is(work):
    before = state(work.segmenter)
    with freeze(work.segmenter, ("net.down.0.",)):
        course = DAMTCourse(QUICK, work)
        course.begin_epoch(0)
        course.step(0)
    moved = changed(before, work.segmenter)
    assert moved
    assert not any(key.startswith("net.down.0.") for key in moved)


@pytest.mark.parametrize("step", [1, 4])
def test_killed_and_resumed_is_never_killed(make_work, step):
    whole, killed = make_work("whole/damt"), make_work("killed/damt")
    QUICK.run(whole)
    run_and_kill(lambda: QUICK.run(killed), DAMTCourse, step)
    resumed = make_work("killed/damt")
    QUICK.run(resumed)
    assert not changed(state(whole.segmenter), resumed.segmenter)
    for epoch, path in whole.kept().items():
        other = load_file(resumed.kept()[epoch])
        assert all(torch.equal(value, other[key]) for key, value in load_file(path).items())


def test_networks_and_patches_that_do_not_fit_are_refused(make_work):
    with pytest.raises(BadInput, match=r"model 'icnet'.*damt.*unet_small"):
        DAMT().check(SegmenterSpec(model="icnet", task="semantic"))
    with pytest.raises(BadInput, match=r"patch_px.*16.*32"):
        QUICK.run(make_work(patch_px=16))


def test_discriminators_have_the_channels_of_the_segmenter():
    spec = SegmenterSpec(model="unet_simple", arguments={"filters": [4, 8]}, task="semantic", classes=4)
    judges = Discriminators(build_segmenter(spec, 0), 32, 2, 0)
    assert judges.of_labels[0].in_channels == 4
    assert judges.of_features.convolutions[0].in_channels == 4
    binary = Discriminators(build_segmenter(spec.model_copy(update={"classes": 2}), 0), 32, 2, 0)
    assert binary.of_labels[0].in_channels == 2
