"""Judging: what is said of networks whose predictions are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.measure import label

from anyscope.adaptation.domains import Domains
from anyscope.adaptation.judging import Exam, _score, agreement, judge
from anyscope.adaptation.selection import RULES, Judgement
from anyscope.adaptation.traits import measure_traits
from anyscope.adaptation.views import Cuts, View
from anyscope.datasets import open_dataset
from anyscope.images import Intensity, read_labels, write_labels
from anyscope.instances import targets
from anyscope.models import DecoderSpec, InputTransform, SegmenterSpec, build_segmenter

from .conftest import write_discs

CUTS = Cuts(planes=4, crop_px=48)


@pytest.fixture
def domains(tmp_path):
    """Bright discs; those of the target are darker. Both without noise."""
    source = open_dataset(write_discs(tmp_path / "s", noise=0, level=(20, 200)))
    target = open_dataset(write_discs(tmp_path / "t", noise=0, level=(20, 120), seed=3))
    return Domains(source.labelled(None), source.labelled(None), target.unlabelled(None))


def thresholding(level, steepness=50.0, **spec):
    """A network that takes for foreground what is brighter than ``level``."""
    given = {"model": "unet_simple", "task": "semantic", "intensity": Intensity(kind="dtype"), **spec}
    segmenter = build_segmenter(SegmenterSpec(**given), 0)

    def forward(images, auxiliary=False):
        logits = (segmenter._relevel(images)[:, :1] - level) * steepness
        return logits.expand(-1, segmenter.spec.out_channels, -1, -1)

    segmenter.forward = forward
    return segmenter


def exam_for(domains, segmenter, cuts=CUTS, source_input=None):
    source_input = source_input or InputTransform()
    return Exam.read(domains.source, domains.validation, domains.target, segmenter.spec, source_input, cuts)


def test_a_perfect_network(domains):
    segmenter = thresholding(0.3)
    exam = exam_for(domains, segmenter)
    judgement = judge(segmenter, 3, exam).judgement
    assert judgement.epoch == 3
    assert judgement.source_score == 1.0
    assert judgement.source.foreground_px == sum(int(view.reference.sum()) for view in exam.source)
    expected = measure_traits([(view.image[0] > 0.3).astype(np.uint8) for view in exam.target], "semantic")
    assert judgement.target.solidity == expected.solidity
    assert judgement.target.foreground_px == expected.foreground_px
    assert judgement.stability > 0.9
    assert judgement.agreement is None
    assert Judgement.from_dict(judgement.to_dict()) == judgement


def test_a_network_that_is_blind_to_the_target(domains):
    """Discs of the target are darker than its threshold: a perfect source score, nothing found in the target."""
    blind, seeing = thresholding(0.6), thresholding(0.3)
    exam = exam_for(domains, blind)
    judged = [judge(network, epoch, exam).judgement for epoch, network in enumerate((seeing, blind))]
    assert judged[1].source_score == 1.0
    assert judged[1].target.foreground_px == 0
    assert judged[1].stability is None
    for name, rule in RULES.items():
        assert rule(judged, exam.reference).index == 0, name


def test_agreement_is_with_the_one_before(domains):
    one, two = thresholding(0.3), thresholding(0.45, steepness=4)
    exam = exam_for(domains, one)
    before = judge(one, 1, exam)
    after = judge(two, 2, exam, previous=before.predictions)
    assert judge(one, 2, exam, previous=before.predictions).judgement.agreement == 1.0
    expected = agreement(after.predictions, before.predictions, "semantic")
    assert after.judgement.agreement == expected
    assert expected == 1.0  # the same pixels are above either threshold


def test_an_unstable_network_is_found_out(domains):
    """Its threshold lies in the grey of the ground, so that noise decides."""
    steady, unsteady = thresholding(0.3), thresholding(20 / 255 + 0.002)
    exam = exam_for(domains, steady)
    assert judge(unsteady, 1, exam).judgement.stability < judge(steady, 1, exam).judgement.stability


def test_the_input_transform_of_the_target_is_not_that_of_the_source(domains):
    """Levels make the target's discs as bright as the source's; source images are shown as they are."""
    levels = (tuple(min(1.0, value * 2) for value in np.linspace(0, 1, 256)),)
    segmenter = thresholding(0.6, input=InputTransform(levels=levels))
    judgement = judge(segmenter, 1, exam_for(domains, segmenter)).judgement
    assert judgement.source_score == 1.0
    assert judgement.target.foreground_px > 0
    assert segmenter.spec.input.levels == levels


def test_each_domain_has_its_own_zoom(domains):
    segmenter = thresholding(0.3, input=InputTransform(zoom=2))
    exam = exam_for(domains, segmenter, Cuts(planes=4), InputTransform(zoom=0.5))
    assert exam.target[0].image.shape[2:] == (96, 112)
    assert exam.source[0].image.shape[2:] == (24, 28)
    judgement = judge(segmenter, 1, exam).judgement
    ratio = judgement.target.foreground_fraction / judgement.source.foreground_fraction
    assert judgement.target.pixels == 16 * judgement.source.pixels
    assert 0.5 < ratio < 2
    assert segmenter.spec.input.zoom == 2


def test_working_pixels_follow_known_sizes(tmp_path):
    from dataclasses import replace

    from anyscope.geometry import VoxelSize

    dataset = open_dataset(write_discs(tmp_path / "s"))
    regions = tuple(replace(region, voxel_size_nm=VoxelSize(None, 10, 10)) for region in dataset.labelled(None))
    part = type(dataset.labelled(None))(regions)
    segmenter = thresholding(0.3, pixel_size_nm=20.0)
    exam = Exam.read(part, part, part.without_labels(), segmenter.spec, segmenter.spec.input)
    assert exam.target[0].image.shape[2:] == (24, 28)
    assert judge(segmenter, 1, exam).judgement.target.pixels == 4 * 24 * 28


def test_no_validation_is_no_score(domains):
    segmenter = thresholding(0.3)
    exam = Exam.read(domains.source, None, domains.target, segmenter.spec, InputTransform(), CUTS)
    judgement = judge(segmenter, 1, exam).judgement
    assert judgement.source_score is judgement.source is None
    assert RULES["combined"]([judgement], exam.reference).epoch == 1


def test_judging_twice_gives_the_same(domains):
    segmenter = thresholding(0.28, steepness=5)
    assert judge(segmenter, 1, exam_for(domains, segmenter)).judgement == (
        judge(segmenter, 1, exam_for(domains, segmenter)).judgement
    )


@pytest.mark.parametrize(("classes", "score_name"), [(2, "semantic"), (3, "semantic"), (2, "instances")])
def test_real_networks_of_every_task(domains, classes, score_name):
    heads = ("mask",) if score_name == "semantic" else ("mask", "boundary", "distance")
    spec = SegmenterSpec(
        model="unet_simple", arguments={"filters": [4, 8]}, task=score_name, heads=heads, classes=classes, neighbours=1
    )
    segmenter = build_segmenter(spec, 0)
    exam = exam_for(domains, segmenter)
    judged = judge(segmenter, 0, exam)
    assert judged.judgement.target.planes == 4
    assert [each.shape for each in judged.predictions] == [view.image.shape[1:] for view in exam.target]
    assert not segmenter.training or torch.is_grad_enabled()


def test_several_classes_agree_where_the_class_does():
    one, other = np.array([[[0, 1, 2, 2]]]), np.array([[[1, 1, 1, 2]]])
    assert agreement([one], [other], "semantic") == 2 / 4
    assert agreement([one], [other], "instances") == 3 / 4
    assert agreement([one * 0], [one * 0], "semantic") is None


def test_the_decoder_of_the_spec_is_used(domains):
    """A threshold of .99 takes less for foreground than the default of .5."""
    soft = thresholding(0.47, steepness=20)
    strict = thresholding(0.47, steepness=20, decoder=DecoderSpec(name="threshold", parameters={"threshold": 0.99}))
    exam = exam_for(domains, soft)
    assert judge(soft, 1, exam).judgement.target.foreground_px > 0
    assert judge(strict, 1, exam).judgement.target.foreground_px == 0


def test_instances_are_scored_and_measured_as_objects(domains, tmp_path):
    """Maps made from labels instead of a network: the exam's own machinery with perfect predictions."""
    spec = SegmenterSpec(model="unet_simple", task="instances", heads=("mask", "boundary", "distance"))
    segmenter = build_segmenter(spec, 0)
    for path in sorted((tmp_path / "s" / "labels").iterdir()):
        mask = read_labels(path)
        path.unlink()
        write_labels(path, label(mask, connectivity=1).astype(np.uint8))
    parts = open_dataset(tmp_path / "s").labelled(None)
    exam = exam_for(Domains(parts, parts, domains.target), segmenter)
    by_pixels = {view.image.tobytes(): view for view in exam.source}

    def forward(images, auxiliary=False):
        view = by_pixels.get(images.numpy()[:, :1].swapaxes(0, 1).tobytes())
        labels = np.zeros((1, *images.shape[-2:]), int) if view is None else view.reference
        maps = torch.from_numpy(targets(labels, spec.layout)).swapaxes(0, 1)
        maps[:, :2] = torch.logit(maps[:, :2].clamp(0.01, 0.99))
        maps[:, 2] = torch.atanh(maps[:, 2].clamp(-0.99, 0.99))
        return maps

    segmenter.forward = forward
    judgement = judge(segmenter, 1, exam).judgement
    assert judgement.source_score > 0.9
    assert judgement.source.objects == sum(len(np.unique(view.reference)) - 1 for view in exam.source)
    assert judgement.source.objects == exam.reference.objects


def test_the_objects_of_a_mask_are_its_components(domains):
    spec = SegmenterSpec(model="unet_simple", task="instances", heads=("mask",), intensity=Intensity(kind="dtype"))
    reference = exam_for(domains, build_segmenter(spec, 0)).reference
    assert reference == exam_for(domains, thresholding(0.3)).reference


@pytest.mark.parametrize(("objects", "score"), [("2d", 1.0), ("3d", 0.0)])
def test_ids_that_count_by_slice_are_scored_by_slice(objects, score):
    """One object through two slices, which the prediction has as two."""
    whole = np.ones((2, 8, 8), np.uint8)
    parted = whole * np.array([1, 2], np.uint8)[:, None, None]
    view = View(np.zeros((1, 2, 8, 8), np.float32), slice(0, 2), whole, whole > 0, objects)
    assert _score([view], [parted], SegmenterSpec(model="unet_simple", task="instances")) == score
