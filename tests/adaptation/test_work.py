from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from anyscope.adaptation.styles import Style
from anyscope.adaptation.supervised import Supervised
from anyscope.adaptation.work import candidate_epochs
from anyscope.models import InputTransform
from anyscope.training.settings import AugmentationSettings

QUIET = AugmentationSettings(
    flips=False, angle_degrees=0, scale=1, elastic_px=0, contrast=0, brightness=0, gamma=1, noise=0, blur_px=0
)


@given(epochs=st.integers(1, 400), most=st.integers(1, 30))
def test_candidates_are_spread_and_end_with_the_last_epoch(epochs, most):
    chosen = sorted(candidate_epochs(epochs, most))
    assert chosen[-1] == epochs
    assert len(chosen) == min(epochs, most)
    gaps = np.diff([0, *chosen])
    assert gaps.min() >= 1
    assert gaps.max() - gaps.min() <= 1


class Inverted(Style):
    def plane(self, region, image):
        return 1 - image


class Brighter(Style):
    def patch(self, region, image, random):
        return np.clip(image + np.float32(random.uniform(0.1, 0.2)), 0, 1)


def test_styles_change_source_images_and_never_their_labels(work):
    plain = work.source_patches("train", augmentation=QUIET)[3]
    styled = replace(work, styles=(Inverted(), Brighter()))
    patch = styled.source_patches("train", augmentation=QUIET)[3]
    assert torch.equal(patch["targets"], plain["targets"])
    shift = patch["images"] - (1 - plain["images"])
    inner = patch["images"] < 1
    assert float(shift[inner].min()) >= 0.1
    assert float(shift[inner].max()) <= 0.2
    untouched = styled.source_patches("train", augmentation=QUIET, styled=False)[3]
    assert torch.equal(untouched["images"], plain["images"])


def test_target_patches_hold_images_alone_and_follow_the_zoom(work):
    assert set(work.target_patches("target")[0]) == {"images"}
    spec = work.segmenter.spec
    before = work.target_patches("target", augmentation=QUIET).sampler.planes.plane_shape(0)
    with work.segmenter.seeing(InputTransform(zoom=1.5)):
        after = work.target_patches("target", augmentation=QUIET).sampler.planes.plane_shape(0)
    assert work.segmenter.spec is spec
    assert after == (before[0] * 1.5, before[1] * 1.5)


def test_batches_are_the_next_patches_of_one_sequence(work):
    patches = work.target_patches("target")
    batch = work.batch(patches, 2, 3)["images"]
    assert torch.equal(batch, torch.stack([patches[number]["images"] for number in (6, 7, 8)]))


def test_a_handful_of_labelled_target_images_is_half_of_the_patches(work, domains):
    with_few = replace(work, domains=replace(domains, few=domains.validation))
    patches, own = with_few.source_patches("train"), work.source_patches("train")
    same = [torch.equal(patches[number]["images"], own[number]["images"]) for number in range(60)]
    assert 15 < sum(same) < 45


def test_supervised_training_leaves_candidates_and_the_last_one_as_segmenter(work):
    before = {key: value.clone() for key, value in work.segmenter.state_dict().items()}
    assert Supervised().run(replace(work, candidates=1)).segmenter is work.segmenter
    assert list(work.kept()) == [2]
    stored = load_file(work.kept()[2])
    assert all(torch.equal(value, stored[key]) for key, value in work.segmenter.state_dict().items())
    assert any(not torch.equal(value, before[key]) for key, value in stored.items())


def test_frozen_parameters_stay_bit_for_bit(work):
    before = {key: value.clone() for key, value in work.segmenter.named_parameters()}
    Supervised().run(replace(work, frozen=("net.down",)))
    for key, value in work.segmenter.named_parameters():
        assert torch.equal(value, before[key]) == key.startswith("net.down")
        assert value.requires_grad


def test_what_a_kill_left_half_written_is_no_candidate(work):
    work.keep(3, work.segmenter)
    (work.folder / "candidates" / ".00004.safetensors.4d69bd13.part.safetensors").write_bytes(b"half")
    assert list(work.kept()) == [3]
