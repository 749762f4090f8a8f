"""Which decoders, linkers and protocols a training chooses from, and that the best of them wins."""

from dataclasses import replace

import numpy as np
import pytest
from tests.instances.objects import affinities_of, voronoi

from anyscope.datasets import open_dataset
from anyscope.errors import BadInput
from anyscope.geometry import VoxelSize
from anyscope.images import write_image, write_labels
from anyscope.inference import Decodable
from anyscope.instances import split_maps, targets
from anyscope.metrics import PROTOCOLS
from anyscope.models import SegmenterSpec
from anyscope.training.settings import train_settings
from anyscope.training.validation import (
    Validation,
    ValidationImage,
    decoders_for,
    linkers_for,
    protocol_for,
    rating,
)

OFFSETS = ((0, -1, 0), (0, 0, -1), (0, -3, 0), (0, 0, -3), (0, -3, -3), (0, 3, -3))


def spec(*heads, offsets=()):
    return SegmenterSpec(model="unet_simple", task="instances", heads=heads, offsets=offsets)


@pytest.mark.parametrize(
    ("given", "objects", "protocol", "linkers"),
    [
        ({}, "3d", "instances", ("multicut", "overlap")),
        ({}, "2d", "instances_2d", ()),
        ({}, None, "instances", ()),
        ({"linker": "none"}, "3d", "instances", ()),
        ({"linker": "overlap"}, None, "instances", ("overlap",)),
        ({"dimensions": 3}, "3d", "instances", ()),
        ({"protocol": "snemi3d"}, "3d", "snemi3d", ("multicut", "overlap")),
        ({"task": "semantic"}, "3d", "semantic", ()),
    ],
)
def test_what_is_chosen_from(given, objects, protocol, linkers):
    settings = train_settings(**({"task": "instances"} | given))
    assert protocol_for(settings, 2, objects).name == protocol
    assert tuple(sorted(linkers_for(settings, objects))) == linkers


def test_decoders_that_the_heads_suffice_for():
    settings = train_settings(task="instances")
    names = [one.name for one in decoders_for(settings, spec("mask", "boundary", "distance"), None)]
    assert names == ["watershed", "peaks", "agglomeration", "components"]
    names = [one.name for one in decoders_for(settings, spec("mask", "affinities", offsets=OFFSETS), None)]
    assert names == ["mutex_watershed", "agglomeration", "components"]
    settings = train_settings(
        task="instances", dimensions=3, decoder="components", decoder_arguments={"min_size_px": 3}
    )
    (one,) = decoders_for(settings, spec("mask"), VoxelSize(50, 5, 5))
    assert (one.name, one.dimensions, one.anisotropy, one.min_size_px) == ("components", 3, 10, 3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"decoder": "mutex_watershed"}, "does not fit the heads"),
        ({"decoder": "components", "decoder_arguments": {"seeds": 1}}, "seeds"),
    ],
)
def test_a_decoder_that_does_not_fit_is_refused(given, message):
    with pytest.raises(BadInput, match=message):
        decoders_for(train_settings(task="instances", **given), spec("mask", "boundary"), None)


@pytest.mark.parametrize("given", [{"decoder": "wishes"}, {"linker": "wishes"}, {"protocol": "wishes"}])
def test_unknown_names_are_refused_before_anything_starts(given):
    with pytest.raises(BadInput, match="wishes"):
        train_settings(task="instances", **given)


def test_a_protocol_of_another_task_is_refused():
    with pytest.raises(BadInput, match="is for the task"):
        train_settings(task="semantic", protocol="neurites")


class _Known(Validation):
    """Validation of maps that are known, without a network."""

    def _decodable(self, segmenter, inference):
        return [self.maps_of(image.reference) for image in self.images]

    def maps_of(self, labels):
        layout = self.spec.layout
        values = targets(labels, layout)
        # beyond the edge nothing is known: the network would say something
        values = np.where(np.isnan(values), 1, values).astype(np.float32)
        return Decodable(split_maps(values, layout), labels.shape[1:])


def known(labels, settings, of, objects="3d"):
    image = ValidationImage("a", np.zeros((1, *labels.shape), np.float32), labels, np.ones(labels.shape, bool), None)
    protocol = protocol_for(settings, 2, objects)
    return _Known((image,), of, protocol, decoders_for(settings, of, None), linkers_for(settings, objects))


def test_slices_are_decoded_and_linked_and_the_best_comes_first():
    labels = np.repeat(voronoi((1, 64, 64), 20, 0, background=0), 6, axis=0)
    settings = train_settings(task="instances", protocol="neurites")
    judged = known(labels, settings, spec("mask", "affinities", offsets=OFFSETS))
    assert judged.while_training.name == "neurites_2d"
    tuned = judged.tuned_decoders(None, None)
    assert [one.spec.name for one in tuned][-1] == "components"  # the mask is full: one object
    assert tuned[0].scores["adapted_rand_error"] < 0.01
    assert tuned[0].rating > tuned[-1].rating
    assert tuned[0].spec.linker is not None
    assert "linked" in tuned[0].words


@pytest.mark.parametrize(
    ("of_masks", "first", "last"), [(True, "components", "watershed"), (False, "watershed", "components")]
)
def test_of_equal_decoders_of_a_mask_the_simplest_comes_first(of_masks, first, last):
    labels = np.zeros((2, 48, 48), np.uint32)
    labels[:, 6:18, 6:18], labels[:, 28:42, 24:40] = 1, 2
    judged = known(labels, train_settings(task="instances"), spec("mask", "boundary", "distance"), objects="2d")
    tuned = replace(judged, of_masks=of_masks).tuned_decoders(None, None)
    assert [one.rating for one in tuned] == [1, 1, 1, 1]
    assert tuned[0].spec.name == first
    assert tuned[-1].spec.name == last


@pytest.mark.parametrize("kind", ["mask", "instances"])
def test_what_objects_of_the_reference_are_is_read_from_the_data(kind, tmp_path):
    labels = np.zeros((1, 48, 48), np.uint8)
    labels[:, 6:18, 6:18] = 1
    write_image(tmp_path / "images" / "a.tif", 200 * labels[None])
    write_labels(tmp_path / "labels" / "a.tif", labels)
    (tmp_path / "dataset.yaml").write_text(f"labels: {kind}\n")
    part = open_dataset(tmp_path).labelled(None)
    read = Validation.read(part, spec("mask", "boundary"), train_settings(task="instances"))
    assert read.of_masks is (kind == "mask")


def test_two_lucky_objects_do_not_outweigh_all_others():
    protocol = PROTOCOLS["instances"]
    lucky, lost = {"accuracy_50": 0.22, "foreground_iou": 0.04}, {"accuracy_50": 0.3, "foreground_iou": 0.01}
    honest = {"accuracy_50": 0.15, "foreground_iou": 0.5}
    assert rating(protocol, honest, 0.25) == 0.15
    assert rating(protocol, honest, 0.25) > rating(protocol, lucky, 0.25) > rating(protocol, lost, 0.25)
    assert rating(protocol, lucky, 0.0) == 0.22
    assert rating(PROTOCOLS["neurites"], {"adapted_rand_error": 0.2}, 0.25) == -0.2  # tells nothing of the foreground


def test_half_of_the_mask_has_to_be_kept():
    labels = voronoi((2, 32, 32), 6, 0)
    settings = train_settings(task="instances")
    judged = known(labels, settings, spec("mask", "boundary"))
    assert judged._least_foreground(judged._decodable(None, None)) == 0.5


def test_an_error_is_rated_the_other_way_round():
    protocol = PROTOCOLS["neurites"]
    scores = dict.fromkeys(("adapted_rand_error",), 0.2)
    assert protocol.rating(scores) == -0.2
    assert protocol.rating({"adapted_rand_error": float("nan")}) == -np.inf
    assert PROTOCOLS["instances"].rating({"accuracy_50": 0.2}) == 0.2


def test_affinities_of_the_tests_are_those_of_training():
    labels = voronoi((2, 12, 12), 6, 1)
    ours = targets(labels, spec("mask", "affinities", offsets=OFFSETS).layout)
    np.testing.assert_array_equal(np.nan_to_num(ours[1:]), affinities_of(labels, OFFSETS))
