"""Mean teacher, FixMatch and UniMatch as courses: what they leave, what they repeat, what they leave alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from anyscope.adaptation.catalog import STEPS
from anyscope.adaptation.refinement.consistency import FixMatch, UniMatch, has_features, leaving_out
from anyscope.adaptation.refinement.course import batch_norms, keeping_statistics
from anyscope.adaptation.refinement.mean_teacher import MeanTeacher
from anyscope.adaptation.refinement.teacher import TeacherStep, moving_average
from anyscope.adaptation.refinement.views import StrongView, WeakView, target_views
from anyscope.contracts import HeadLayout
from anyscope.inference.activation import activate
from anyscope.models import InputTransform, SegmenterSpec, build_segmenter
from anyscope.models.segmenter import Segmenter
from anyscope.training.objective import Objective

TEACHERS = [MeanTeacher, FixMatch, UniMatch]
REFINEMENTS = [kind for kind in (STEPS[name] for name in STEPS) if ".refinement." in kind.__module__]
SHORT = {"epochs": 3, "steps_per_epoch": 2, "batch": 2}
LONG_ENOUGH = {"adabn": {"patches": 6, "batch": 2}, "tent": SHORT}


def short(kind, **changes):
    return kind(**{**LONG_ENOUGH.get(kind.name, SHORT), **changes})


def stored(work):
    return {epoch: load_file(path) for epoch, path in work.kept().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(value, other[key]) for key, value in one.items())


@pytest.fixture
def beginning(make_work):
    """The work of a refinement with a random network that drops out, so that its stream of numbers matters."""

    def make(folder="refinement", **changes):
        return make_work(folder, arguments={"filters": [4, 8], "dropout": 0.2}, **changes)

    return make


@pytest.mark.parametrize("kind", REFINEMENTS)
@pytest.mark.parametrize("profile", ["fast", "best", "paper"])
def test_profiles_are_valid(kind, profile):
    assert kind.model_validate(dict(kind.profiles.get(profile, {})))


@pytest.mark.parametrize("kind", REFINEMENTS)
def test_candidates_are_left_and_the_segmenter_stays_as_it_was(kind, beginning):
    work = beginning()
    before = {key: value.clone() for key, value in work.segmenter.state_dict().items()}
    kind_of_parameters = [parameter.requires_grad for parameter in work.segmenter.parameters()]
    assert short(kind).run(work) is work
    found = stored(work)
    epochs = getattr(short(kind), "epochs", 1)
    assert list(found) == list(range(epochs + 1))
    assert same(found[0], before)
    assert same(work.segmenter.state_dict(), before)
    assert [parameter.requires_grad for parameter in work.segmenter.parameters()] == kind_of_parameters
    assert not same(found[epochs], before)
    assert len(work.run.records()) == epochs


class Killed(Exception):
    pass


@pytest.mark.parametrize("kind", REFINEMENTS)
def test_a_killed_refinement_ends_as_one_that_was_not(kind, beginning, monkeypatch):
    whole, killed = beginning("a/refinement"), beginning("b/refinement")
    short(kind).run(whole)
    calls = 0
    original = type(killed).batch

    def batch(self, *arguments, **options):
        nonlocal calls
        calls += 1
        if calls == stop:
            raise Killed
        return original(self, *arguments, **options)

    stop = (
        3 if kind.name == "adabn" else 7 if issubclass(kind, TeacherStep) else 4
    )  # in the second epoch, its second step
    monkeypatch.setattr(type(killed), "batch", batch)
    with pytest.raises(Killed):
        short(kind).run(killed)
    monkeypatch.undo()
    begun = len(killed.run.records())
    assert begun == (0 if kind.name == "adabn" else 1)
    short(kind).run(killed)
    one, other = stored(whole), stored(killed)
    assert one.keys() == other.keys()
    assert all(same(one[epoch], other[epoch]) for epoch in one)


@pytest.mark.parametrize("kind", TEACHERS)
@pytest.mark.parametrize(("task", "heads"), [("semantic", ("mask",)), ("instances", ("mask", "boundary", "distance"))])
def test_every_head_and_two_channels_learn(kind, task, heads, make_work):
    work = make_work(task=task, heads=heads)
    short(kind, source_weight=0.0, rise=0.0, threshold=0.0).run(work)
    first, *_, last = stored(work).values()
    changed = (first["net.head.weight"] != last["net.head.weight"]).flatten(1).any(1)
    assert changed.tolist() == [True] * len(heads)


@pytest.mark.parametrize("kind", TEACHERS)
def test_classes_learn(kind, make_work):
    work = make_work()
    spec = work.segmenter.spec.model_copy(update={"classes": 3})
    work = replace(work, segmenter=build_segmenter(spec, 0))
    short(kind, source_weight=0.0, rise=0.0, threshold=0.0).run(work)
    first, *_, last = stored(work).values()
    assert (first["net.head.weight"] != last["net.head.weight"]).flatten(1).any(1).all()


def test_the_target_alone_reads_no_source_patch(beginning, monkeypatch):
    work = beginning()

    def refuse(*_arguments, **_options):
        raise AssertionError("a source patch was asked for")

    monkeypatch.setattr(type(work), "source_patches", refuse)
    short(MeanTeacher, source_weight=0.0, alignment=0.0).run(work)
    assert set(work.run.records()[0]) >= {"train_target", "train_loss"}
    assert "train_source" not in work.run.records()[0]


def test_source_images_are_seen_without_the_input_transform_and_target_images_through_it(beginning, monkeypatch):
    work = beginning()
    levels = InputTransform(levels=((1.0, 0.0),))
    work.segmenter.spec = work.segmenter.spec.model_copy(update={"input": levels})
    seen = []
    forward = Segmenter.forward

    def watched(self, images, **options):
        seen.append((bool(self.spec.input.levels), self.training))
        return forward(self, images, **options)

    monkeypatch.setattr(Segmenter, "forward", watched)
    short(MeanTeacher, epochs=1, steps_per_epoch=1).run(work)
    assert seen == [(False, True), (True, False), (True, True)]  # source; teacher and student on the target


def test_the_loss_on_the_target_rises():
    step = MeanTeacher(epochs=2, steps_per_epoch=50, rise=0.5)
    risen = [step.risen(number) for number in range(100)]
    assert risen[0] == pytest.approx(0.0067, abs=1e-4)
    assert risen[25] == pytest.approx(0.2865, abs=1e-4)  # exp(-5 / 4)
    assert risen[50:] == [1.0] * 50
    assert risen == sorted(risen)
    assert MeanTeacher(rise=0.0).risen(0) == 1.0


def test_the_teacher_is_a_plain_mean_at_first_and_then_moves_by_its_decay():
    segmenter = build_segmenter(SegmenterSpec(model="unet_simple", arguments={"filters": [4, 8]}, task="semantic"), 0)
    teacher = moving_average(segmenter, 0.75)
    expected = 0.0
    for number, value in enumerate([3.0, 5.0, 1.0, 2.0, 8.0, -4.0]):
        with torch.no_grad():
            segmenter.net.head.bias.fill_(value)
            next(layer for layer in segmenter.modules() if hasattr(layer, "running_mean")).running_mean.fill_(value)
        teacher.update_parameters(segmenter)
        share = max(0.25, 1 / (number + 1))
        expected += share * (value - expected)
        assert teacher.module.net.head.bias.item() == pytest.approx(expected, rel=1e-5)
    averaged = next(layer for layer in teacher.module.modules() if hasattr(layer, "running_mean"))
    assert averaged.running_mean[0].item() == pytest.approx(expected, rel=1e-5)


@pytest.fixture
def statistics_after(beginning):
    """Running statistics of the first layer after a course that learns nothing, so that nothing else moves them."""

    def run(**changes):
        work = beginning(f"{changes}/refinement".replace("'", ""))
        short(MeanTeacher, epochs=1, learning_rate=1e-12, decay=1e-6, **changes).run(work)
        return stored(work)[1]["net.down.0.1.running_mean"]

    return run


def test_whose_statistics_the_teacher_has(statistics_after):
    fixed, both, target = (statistics_after(statistics=name) for name in ("fixed", "both", "target"))
    assert torch.equal(fixed, torch.zeros(4))
    assert both.abs().max() > 1e-3
    assert not torch.allclose(both, target, atol=1e-3)
    alone = statistics_after(statistics="both", source_weight=0.0)
    assert torch.allclose(target, alone, atol=1e-6)


def test_statistics_can_be_kept_in_training_mode(work):
    segmenter = work.segmenter.train()
    layers = batch_norms(segmenter)
    with keeping_statistics(layers):
        segmenter(torch.rand(2, 1, 16, 16))
    assert torch.equal(layers[0].running_mean, torch.zeros(4))
    assert layers[0].momentum == 0.1
    segmenter(torch.rand(2, 1, 16, 16))
    assert not torch.equal(layers[0].running_mean, torch.zeros(4))


NETWORKS = {
    "unet_small": ({}, True),
    "segnet": ({"width": 0.1}, True),
    "smp_unet": ({}, True),
    "icnet": ({"width": 0.1}, False),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_features_are_left_out_where_the_encoder_is_known(name):
    arguments, known = NETWORKS[name]
    spec = SegmenterSpec(model=name, arguments=arguments, task="semantic")
    segmenter = build_segmenter(spec, 0).eval()
    assert has_features(segmenter) is known
    image = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        plain = segmenter(image)
        with leaving_out(segmenter.net, 0.5) as shapes:
            varied = segmenter(image)
        assert torch.equal(segmenter(image), plain)
    assert torch.equal(varied, plain) is not known
    assert all(shape[1] > 1 for shape in shapes)
    assert len({shape[-1] for shape in shapes}) == (5 if known else 0)


def test_a_transformer_without_maps_learns_from_strong_views_alone(make_work):
    work = make_work(
        model="segmenter", arguments={"encoder": "vit_tiny_patch16_224", "layers": 1}, patch_px=32, batch=1
    )
    short(UniMatch, epochs=1, steps_per_epoch=1).run(work)
    assert "train_strong1" in work.run.records()[0]
    assert "train_features" not in work.run.records()[0]


def test_views_share_the_weight_of_the_target(beginning):
    work = beginning()
    short(UniMatch, epochs=1, steps_per_epoch=1, rise=0.0, threshold=0.0, source_weight=0.5).run(work)
    record = work.run.records()[0]
    parts = [record[f"train_{name}"] for name in ("source", "strong0", "strong1", "features")]
    assert record["train_loss"] == pytest.approx(sum(parts), rel=1e-5)


@pytest.mark.parametrize("kind", TEACHERS)
def test_the_teacher_learns_to_say_the_same_of_varied_images(kind, trained_work):
    """On patches that it was not trained on, hard and soft labels alike; the source is not forgotten meanwhile."""
    work = trained_work
    kind(epochs=1, steps_per_epoch=20, batch=4, learning_rate=2e-3).run(work)
    first, *_, last = stored(work).values()
    views = work.batch(
        target_views(replace(work, folder=work.folder / "elsewhere"), WeakView(), StrongView(), 1), 9, 24
    )
    source = work.batch(work.source_patches("elsewhere"), 9, 24)
    objective = Objective.of(work.settings, work.segmenter.spec.layout)

    def judged(weights):
        segmenter = build_segmenter(work.segmenter.spec, 0).eval()
        segmenter.load_state_dict(weights)
        with torch.no_grad():
            weak, strong = (activate(segmenter(views[name]), HeadLayout(("mask",))) for name in ("weak", "strong0"))
            return float((weak - strong).abs().mean()), float(objective(segmenter, source))

    (far, loss), (near, later) = judged(first), judged(last)
    assert near < 0.9 * far
    assert later < 1.1 * loss
