from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from torch import nn

from anyscope.adaptation.multitask import Outputs, with_reconstruction
from anyscope.adaptation.styles import Style
from anyscope.adaptation.y_net import YNet, YNetCourse, y_net_losses
from anyscope.contracts import HeadLayout
from anyscope.errors import BadInput
from anyscope.models import MODELS, InputTransform, SegmenterSpec, build_segmenter
from anyscope.training.objective import Objective
from anyscope.training.optimisation import freeze
from anyscope.training.settings import train_settings

from .stopping import run_and_kill

QUICK = YNet(epochs=(1, 1, 2), steps_per_epoch=4, last_steps_per_epoch=3)
OBJECTIVE = Objective(HeadLayout(("mask",)), ("ce",))


def state(module: nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in module.state_dict().items()}


def changed(before: dict[str, torch.Tensor], module: nn.Module) -> set[str]:
    return {key for key, value in module.state_dict().items() if not torch.equal(value, before[key])}


def batch_of(images: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"images": images, "targets": mask[:, None], "valid": torch.ones(mask.shape, dtype=torch.bool)}


def test_losses_worked_by_hand():
    images = torch.full((1, 1, 2, 2), 0.25)
    mask = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    outputs = Outputs(torch.zeros(1, 1, 2, 2), None, torch.tensor([[[[0.25, 0.75], [0.25, 0.0]]]]), images)
    losses = y_net_losses(outputs, batch_of(images, mask), OBJECTIVE)
    assert float(losses["reconstruction"]) == pytest.approx((0.5**2 + 0.25**2) / 4)
    assert float(losses["segmentation"]) == pytest.approx(0.693147, rel=1e-5)


def test_a_batch_without_labels_has_no_segmentation_loss():
    images = torch.rand(1, 1, 4, 4)
    losses = y_net_losses(Outputs(None, None, images, images), {"images": images}, OBJECTIVE)
    assert float(losses["segmentation"]) == 0
    assert float(losses["reconstruction"]) == 0


@pytest.mark.parametrize(
    ("model", "arguments"),
    [("attention_unet", {"filters": [4, 8, 16], "dropout": 0.1}), ("segnet", {"width": 0.125}), ("linknet", {})],
)
def test_both_tasks_keep_the_size_of_odd_images_and_the_segmentation_is_the_segmenters(model, arguments):
    spec = SegmenterSpec(model=model, arguments=arguments, task="semantic", classes=3, neighbours=1)
    segmenter = build_segmenter(spec, 0).eval()
    net = with_reconstruction(segmenter, "transposed", 0).eval()
    images = torch.rand(2, 3, 37, 41)
    with torch.inference_mode():
        outputs = net(images)
        assert torch.equal(outputs.logits, segmenter(images))
    assert outputs.image.shape == images.shape


def test_attention_y_net_as_published():
    """32 to 512 filters: the Attention U-Net counted by its own test, and the decoder counted by hand."""
    spec = SegmenterSpec(task="semantic", **{key: YNet.training["paper"][key] for key in ("model", "arguments")})
    net = with_reconstruction(build_segmenter(spec, 0), "transposed", 0)
    expected = 32 + 1
    for below, width in ((512, 256), (256, 128), (128, 64), (64, 32)):
        expected += 4 * below * width + width + 2 * (9 * width * width + width)
    assert sum(each.numel() for each in net.decoder.parameters()) == expected
    assert MODELS["attention_unet"].check(spec.arguments).rates == (0.1, 0.1, 0.2, 0.2, 0.3)
    assert net.segmenter.net.gates[0].__class__.__name__ == "AuthorsGate"


def test_the_first_weights_follow_from_the_seed_and_leave_the_global_stream_alone(work):
    torch.manual_seed(1)
    first = with_reconstruction(work.segmenter, "transposed", 3)
    drawn = torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(drawn, torch.rand(1))
    second = with_reconstruction(work.segmenter, "transposed", 3)
    assert not changed(state(first), second)


def test_paper_profile_is_the_published_table():
    step = YNet(**YNet.profiles["paper"])
    assert step.epochs == (50, 40, 100)
    assert (step.alpha, step.beta) == ((0.98, 1, 0), (0.02, 0, 1))
    assert step.optimisers == ("sgd", "adam", "adam")
    assert step.schedules == ("plateau", "plateau", "onecycle")
    assert step.learning_rates == (1e-3, 2e-4, 2e-4)
    assert (step.momentum, step.matched) == (0.99, 0.5)
    settings = train_settings(**YNet.training["paper"])
    assert (settings.batch, settings.patch_px) == (1, 256)
    assert step.steps_per_epoch * settings.batch == 2 * 1000


def test_a_target_batch_gives_the_segmentation_decoder_no_gradient(work):
    course, net = course_of(work, 0)
    numbers = {course._of_target(number): number for number in range(4)}
    before = state(net)
    course.begin_epoch(0)
    course.step(numbers[True])
    moved = {key for key in changed(before, net) if "running" not in key and "num_batches" not in key}
    assert moved
    assert not any(key.startswith(("segmenter.net.up", "segmenter.net.merge", "segmenter.net.head")) for key in moved)
    assert any(key.startswith("segmenter.net.down") for key in moved)
    assert any(key.startswith("decoder") for key in moved)
    course.step(numbers[False])
    assert any(key.startswith("segmenter.net.head") for key in changed(before, net))


def course_of(work, number):
    net = with_reconstruction(work.segmenter, "transposed", 0)
    return YNetCourse(QUICK, work, net, number), net


def test_half_of_an_epoch_is_of_the_target_and_each_batch_of_one_domain(work):
    course, _ = course_of(work, 1)
    for epoch in range(3):
        flags = [course._of_target(epoch * 4 + place) for place in range(4)]
        assert sum(flags) == 2
    assert len({tuple(course._of_target(epoch * 4 + place) for place in range(4)) for epoch in range(8)}) > 1


def test_the_second_step_leaves_the_segmentation_decoder_and_the_third_all_but_it_and_the_bottleneck(work):
    course, net = course_of(work, 1)
    before = state(net)
    course.begin_epoch(0)
    for number in range(4):
        course.step(number)
    assert {key.split(".")[0 if key.startswith("decoder") else 2] for key in changed(before, net)} == {
        "down",
        "decoder",
    }
    with freeze(work.segmenter, ("net.down.0.",)):
        course, net = course_of(work, 2)
        before = state(net)
        course.begin_epoch(0)
        for number in range(3):
            course.step(number)
    moved = changed(before, net)
    assert not any(key.startswith(("decoder", "segmenter.net.down.0.")) for key in moved)
    for part in ("down.1", "up", "merge", "head"):
        assert any(key.startswith(f"segmenter.net.{part}") for key in moved)


def test_what_is_drawn_again_is_what_was_seen(work):
    net = with_reconstruction(work.segmenter, "transposed", 0).eval()
    images = torch.full((1, 1, 8, 8), 0.25)
    plain = net(1 - images)
    with work.segmenter.seeing(InputTransform(levels=((1.0, 0.0),))):
        outputs = net(images)
        assert torch.equal(outputs.logits, work.segmenter.eval()(images))
    assert torch.allclose(outputs.seen, 1 - images)
    assert torch.equal(outputs.image, plain.image)
    assert torch.equal(net(images).seen, images)


class White(Style):
    def plane(self, region, image):
        return 0 * image + 1


def test_a_share_of_source_patches_is_styled_in_the_later_steps(make_work):
    still = {"contrast": 0, "brightness": 0, "gamma": 1, "noise": 0, "blur_px": 0}
    work = replace(make_work(augmentation=still), styles=(White(),))

    def share(number, matched=0.5):
        net = with_reconstruction(work.segmenter, "transposed", 0)
        course = YNetCourse(YNet(matched=matched), work, net, number)
        return sum(float(course._source[n]["images"].min()) > 0.999 for n in range(40)) / 40

    assert share(0) == 0
    assert 0.25 < share(1) < 0.75
    assert 0.25 < share(2) < 0.75
    assert share(2, matched=1.0) == 1


@pytest.mark.parametrize("heads", [("mask",), ("mask", "boundary", "distance")])
def test_from_end_to_end(make_work, heads):
    work = make_work(heads=heads, task="instances" if len(heads) > 1 else "semantic")
    before = state(work.segmenter)
    assert QUICK.run(work) is work
    assert sorted(work.kept()) == [1, 2]
    last = load_file(work.kept()[2])
    assert all(torch.equal(value, work.segmenter.state_dict()[key]) for key, value in last.items())
    assert changed(before, work.segmenter)
    assert all(parameter.requires_grad for parameter in work.segmenter.parameters())
    assert not work.segmenter.training


@pytest.mark.parametrize(("number", "step"), [(0, 2), (1, 3), (2, 4)])
def test_killed_and_resumed_is_never_killed(make_work, number, step):
    whole, killed = make_work("whole/y-net"), make_work("killed/y-net")
    QUICK.run(whole)
    run_and_kill(lambda: QUICK.run(killed), YNetCourse, step, lambda course: course._number == number)
    resumed = make_work("killed/y-net")
    QUICK.run(resumed)
    assert not changed(state(whole.segmenter), resumed.segmenter)
    for epoch, path in whole.kept().items():
        other = load_file(resumed.kept()[epoch])
        assert all(torch.equal(value, other[key]) for key, value in load_file(path).items())


def test_a_network_without_a_bottleneck_is_refused():
    with pytest.raises(BadInput, match=r"model 'segmenter'.*y-net"):
        YNet().check(SegmenterSpec(model="segmenter", task="semantic"))
    YNet().check(SegmenterSpec(model="fpn", task="semantic"))


def test_a_step_that_learns_nothing_is_refused():
    with pytest.raises(ValidationError, match="alpha and beta"):
        YNet(alpha=(0.98, 0, 0))
