"""Settings of a pre-training, and its course."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from anyscope.datasets.folder import ImageRegion, UnlabelledImages
from anyscope.datasets.holding_out import hold_out
from anyscope.errors import BadInput
from anyscope.geometry import Roi
from anyscope.images import open_image, write_image
from anyscope.models import SegmenterSpec, build_segmenter
from anyscope.running.run_folder import RunFolder
from anyscope.training.pretraining import PROFILES, PretextCourse, fit_pretext, held_batches, pretrain_settings, repair

TINY = {
    "model": "unet_simple",
    "arguments": {"filters": [4, 8]},
    "patch_px": 32,
    "batch": 2,
    "epochs": 3,
    "steps_per_epoch": 4,
    "learning_rate": 0.02,
    "parameters": {"piece_px": 8},
}


def tiny(**changes):
    return pretrain_settings(**{**TINY, **changes})


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A stack of stripes: what is hidden follows from what is around it."""
    path = tmp_path_factory.mktemp("pretraining") / "stripes.tif"
    y, x = np.mgrid[:64, :80]
    planes = [128 + 100 * np.sin((y + 2 * x + 7 * z) / 4) for z in range(10)]
    write_image(path, np.array(planes, np.float32)[None].astype(np.uint8))
    image = open_image(path)
    return UnlabelledImages((ImageRegion("stripes", image, Roi.whole(image.shape[1:]), None),))


def network(settings):
    spec = SegmenterSpec(
        model=settings.model, arguments=settings.arguments, task="semantic", neighbours=settings.neighbours,
        pretext=settings.pretext,
    )  # fmt: skip
    return build_segmenter(spec, settings.seed)


def learn(images, settings, folder):
    folder.mkdir(exist_ok=True)
    net, run = network(settings), RunFolder(folder)
    fit_pretext(net, *hold_out(images, settings.held_out, 0), settings, run, cpu=True)
    return net, run


@pytest.mark.parametrize("pretext", ["masked", "crappify"])
def test_it_learns_to_repair_what_it_has_not_seen(images, tmp_path, pretext):
    parameters = TINY["parameters"] if pretext == "masked" else {}
    settings = tiny(pretext=pretext, parameters=parameters, steps_per_epoch=30, ema=0.9)
    net, run = learn(images, settings, tmp_path / "run")
    records = run.records()
    assert records[-1]["val_loss"] < 0.85 * records[0]["val_loss"]
    held = hold_out(images, settings.held_out, 0)[1]
    found = repair(net, held_batches(held, settings), settings, "cpu")
    assert found.images.shape == found.spoiled.shape == found.repaired.shape
    assert np.mean(found.errors("repaired")) < np.mean(found.errors("spoiled"))
    assert 0 <= float(found.repaired.min()) <= float(found.repaired.max()) <= 1


def test_errors_are_means_over_what_was_to_be_repaired(images, tmp_path):
    settings = tiny(neighbours=1)
    found = repair(network(settings), held_batches(hold_out(images, 0.1, 0)[1], settings)[:1], settings, "cpu")
    hidden = found.hidden.expand_as(found.images)
    for place, error in enumerate(found.errors("spoiled")):
        difference = (found.spoiled[place] - found.images[place]).abs()[hidden[place]]
        assert error == pytest.approx(float(difference.mean()), rel=1e-4)


@pytest.mark.parametrize("kill_at", [2, 6])
def test_killed_and_resumed_is_never_killed(images, tmp_path, kill_at):
    class Killed(Exception):
        pass

    whole, run = learn(images, tiny(), tmp_path / "whole")
    with pytest.MonkeyPatch.context() as patch:
        step = PretextCourse.step

        def dying(self, number):
            if number == kill_at:
                raise Killed
            return step(self, number)

        patch.setattr(PretextCourse, "step", dying)
        with pytest.raises(Killed):
            learn(images, tiny(), tmp_path / "killed")
    resumed, other = learn(images, tiny(), tmp_path / "killed")
    expected = whole.state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in resumed.state_dict().items())
    for one, two in zip(run.records(), other.records(), strict=True):
        assert {**one, "seconds": 0} == {**two, "seconds": 0}


def test_held_out_patches_are_the_same_in_every_epoch(images):
    held = hold_out(images, 0.1, 0)[1]
    first, again = held_batches(held, tiny()), held_batches(held, tiny())
    assert len(first) == len(again) == 8
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))


@pytest.mark.parametrize("profile", list(PROFILES))
def test_every_profile_is_valid(profile):
    assert pretrain_settings(profile).make().name == "masked"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"pretext": "maskd"}, "pretext 'maskd'.*did you mean 'masked'"),
        ({"parameters": {"shar": 1}}, "parameter of pretext 'masked' 'shar'"),
        ({"patch_px": 24}, "'patch_px'.*24.*at least 32"),
        ({"held_out": 0.9}, "setting 'held_out'"),
        ({"tune": "frozen"}, "setting 'tune'"),
        ({"profile": "bestest"}, "profile 'bestest'"),
    ],
)
def test_wrong_settings_are_one_line_that_names_the_key(given, message):
    with pytest.raises(BadInput, match=message):
        pretrain_settings(**given)


def test_augmentation_that_is_not_named_stays_off():
    """The image is what is to be predicted: noise comes only where it was asked for."""
    chosen = pretrain_settings(augmentation={"angle_degrees": 90}).augmentation
    assert (chosen.angle_degrees, chosen.noise, chosen.blur_px, chosen.elastic_px) == (90, 0, 0, 0)
    assert (
        pretrain_settings(intensity="fixed:0,255").intensity.model_dump() != pretrain_settings().intensity.model_dump()
    )
