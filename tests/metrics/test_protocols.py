"""What every protocol promises, and what each of them is for."""

from __future__ import annotations

import inspect
import json
from dataclasses import replace
from math import isnan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import adapted_rand_error, variation_of_information

from anyscope.errors import BadInput
from anyscope.metrics import PROTOCOLS, Counts, default_protocol
from anyscope.metrics.protocols.partitions import SNEMI3D_CROP, SNEMI3D_SHAPE

from .label_images import cells, label_pairs, perturbed

NAMES = list(PROTOCOLS)
COUNTS_OF_OBJECTS = {"reference_objects", "predicted_objects", "images_cropped"}


@pytest.fixture(params=NAMES)
def protocol(request):
    return PROTOCOLS[request.param]


def scores_of(protocol, reference, prediction, **more):
    return protocol.scores(protocol.measure(reference, prediction, **more))


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert one[name] == pytest.approx(other[name], abs=1e-9, nan_ok=True), name


def test_the_named_protocols_are_there():
    wanted = {"semantic", "instances", "lucchi", "snemi3d", "mitoem", "isbi2012", "dsb2018", "cremi"}
    assert wanted <= set(NAMES)
    assert PROTOCOLS["semantic"].task == "semantic"
    assert PROTOCOLS["instances"].task == "instances"


def test_each_says_where_it_comes_from_and_what_to_beware_of(protocol):
    assert "Traps:" in inspect.getdoc(type(protocol))
    assert protocol.source
    assert protocol.summary
    assert {"ignored", "dimensions", "threshold", "predicted 0"} <= protocol.conventions.keys()
    ignoring = replace(protocol, ignore=(255,)).conventions
    assert ignoring["ignored"] != protocol.conventions["ignored"]
    assert "255" in ignoring["ignored"]
    json.dumps(protocol.conventions)


def test_a_perfect_prediction_scores_best(protocol):
    reference = cells(0, (4, 60, 60), 40)
    scores = scores_of(protocol, reference, reference)
    assert protocol.headline in scores
    assert protocol.errors <= scores.keys()
    for name, value in scores.items():
        if name not in COUNTS_OF_OBJECTS and not isnan(value):
            assert value == pytest.approx(0 if name in protocol.errors else 1, abs=1e-9), name


def test_a_worse_prediction_scores_worse(protocol):
    reference = cells(1, (2, 60, 60), 30)
    prediction = perturbed(reference, 1)
    best, worse = scores_of(protocol, reference, reference), scores_of(protocol, reference, prediction)
    sign = -1 if protocol.headline in protocol.errors else 1
    assert sign * worse[protocol.headline] < sign * best[protocol.headline]


def test_two_dimensional_input_is_one_slice(protocol):
    reference = cells(2)
    prediction = perturbed(reference, 2)
    assert_same(scores_of(protocol, reference, prediction), scores_of(protocol, reference[None], prediction[None]))


def test_an_empty_image_is_counted_and_never_scored(protocol):
    nothing = np.zeros((2, 20, 20), int)
    counts = protocol.measure(nothing, nothing)
    assert (counts.images, counts.empty) == (1, 1)
    assert all(isnan(value) for value in protocol.scores(counts).values())
    reference = cells(3, (2, 20, 20), 12)
    missed = protocol.measure(reference, nothing)
    assert missed.empty == 0
    assert protocol.measure(nothing, reference).empty == 0
    pooled = protocol.pool([counts, missed])
    assert (pooled.images, pooled.empty) == (2, 1)
    assert not isnan(protocol.scores(pooled)[protocol.headline])


def test_counts_survive_json(protocol):
    reference = cells(4, (2, 40, 40), 20)
    for prediction in (perturbed(reference, 4), np.zeros_like(reference)):
        counts = protocol.measure(reference, prediction)
        back = Counts.from_json(json.loads(json.dumps(counts.to_json())))
        assert_same(protocol.scores(back), protocol.scores(counts))
        assert_same(protocol.scores(protocol.pool([back, counts])), protocol.scores(protocol.pool([counts, counts])))


def test_pooling_an_image_with_itself_changes_no_ratio(protocol):
    counts = protocol.measure(cells(5), perturbed(cells(5), 5))
    one, two = protocol.scores(counts), protocol.scores(protocol.pool([counts, counts]))
    # Interpolation at fixed recalls, or between the pixels at a percentile, feels the number of samples.
    coarse = {name: 0.02 for name in one if name.startswith("ap")} | {"hausdorff95": 0.5}
    for name in one.keys() - COUNTS_OF_OBJECTS:
        assert one[name] == pytest.approx(two[name], abs=coarse.get(name, 1e-9), nan_ok=True)


def test_pooling_nothing_is_refused(protocol):
    with pytest.raises(ValueError, match="no counts"):
        protocol.pool([])


@pytest.mark.parametrize("name", [name for name in NAMES if name != "multiclass"])
@settings(max_examples=25)
@given(pair=label_pairs(highest=3), names=st.permutations(range(2, 9)))
def test_ids_do_not_matter(name, pair, names):
    # Ids 0 and 1 alone are a mask for isbi2012, so no id becomes 1.
    protocol = PROTOCOLS[name]
    pair = [np.where(labels > 0, labels + 1, 0) for labels in pair]
    renamed = [np.array([0, 0, *names])[labels] for labels in pair]
    assert_same(scores_of(protocol, *pair), scores_of(protocol, *renamed))


def test_ignored_labels_are_not_scored(protocol):
    reference = cells(6, (1, 40, 40), 20)
    prediction = perturbed(reference, 6)
    ignored = int(reference.max())
    elsewhere = np.where(reference == ignored, 77, prediction)
    without = replace(protocol, ignore=(ignored,))
    if protocol.name == "isbi2012":  # thinning lets labels grow from ignored pixels
        elsewhere = prediction
    assert without.measure(reference, prediction).images == 1
    assert_same(scores_of(without, reference, prediction), scores_of(without, reference, elsewhere))
    assert scores_of(without, reference, prediction) != scores_of(protocol, reference, prediction)


@pytest.mark.parametrize(
    ("reference", "prediction", "words"),
    [
        (np.zeros((2, 3, 3), int), np.zeros((2, 3, 4), int), "shape (2, 3, 4)"),
        (np.zeros(9, int), np.zeros(9, int), "axes (z, y, x)"),
        (np.zeros((3, 3)), np.zeros((3, 3), int), "float64"),
        (np.zeros((3, 3), int), np.zeros((3, 3), np.float32), "float32"),
        (np.full((3, 3), -1), np.zeros((3, 3), int), "negative"),
        (np.zeros((3, 3), int), np.full((3, 3), -4), "negative"),
        (np.zeros((0, 3, 3), int), np.zeros((0, 3, 3), int), "no pixels"),
    ],
)
def test_bad_labels_are_refused(protocol, reference, prediction, words):
    with pytest.raises(BadInput) as error:
        protocol.measure(reference, prediction)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("probability", "words"),
    [
        (np.full((9, 9), 1.5), "from 1.5 to 1.5"),
        (np.full((9, 9), -0.1), "from -0.1"),
        (np.full((9, 9), np.nan), "nan"),
        (np.zeros((9, 8)), "shape (9, 8)"),
        (np.zeros((9, 9), np.uint8), "uint8"),
    ],
)
def test_bad_probabilities_are_refused(protocol, probability, words):
    labels = np.ones((9, 9), int)
    with pytest.raises(BadInput) as error:
        protocol.measure(labels, labels, probability=probability)
    assert words in str(error.value)


def test_instances_report_what_scikit_image_does():
    reference = cells(7)
    prediction = perturbed(reference, 7)
    scores = scores_of(PROTOCOLS["instances"], reference, prediction)
    assert scores["adapted_rand_error"] == pytest.approx(adapted_rand_error(reference, prediction)[0], abs=1e-9)
    kept = reference != 0
    split, merge = variation_of_information(reference[kept], prediction[kept])
    assert (scores["voi_split"], scores["voi_merge"]) == pytest.approx((split, merge), abs=1e-9)


def test_unlinked_slices_are_perfect_in_2d_only():
    plane = cells(8)
    reference = np.stack([plane] * 4)
    prediction = np.where(reference > 0, reference + 100 * np.arange(4)[:, None, None], 0)
    assert scores_of(PROTOCOLS["instances"], reference, prediction)["accuracy_50"] == 0
    assert scores_of(PROTOCOLS["instances_2d"], reference, prediction)["accuracy_50"] == 1
    assert scores_of(PROTOCOLS["dsb2018"], reference, prediction)["accuracy_mean"] == 1


def test_multiclass_refuses_classes_that_were_not_declared():
    declared = replace(PROTOCOLS["multiclass"], classes=3)
    labels = np.array([[0, 1], [2, 2]])
    assert scores_of(declared, labels, labels)["mean_iou"] == 1
    with pytest.raises(BadInput, match="class 7; expected classes 0 to 2"):
        declared.measure(labels, np.where(labels == 2, 7, labels))


def test_multiclass_pools_classes_of_different_images():
    protocol = PROTOCOLS["multiclass"]
    one, other = np.array([[1, 1, 0]]), np.array([[2, 2, 2]])
    pooled = protocol.scores(protocol.pool([protocol.measure(one, one), protocol.measure(other, one)]))
    assert pooled["iou_class_0"] == 1 / 2
    assert pooled["iou_class_1"] == 2 / 4
    assert pooled["iou_class_2"] == 0
    assert pooled["mean_iou"] == pytest.approx(1 / 3)


def test_snemi3d_crops_the_official_shape_only():
    protocol = PROTOCOLS["snemi3d"]
    reference = np.ones(SNEMI3D_SHAPE, np.uint8)
    reference[:, 512:] = 2
    prediction = reference.copy()
    prediction[:25] = prediction[:, :97] = prediction[:, 928:] = prediction[:, :, :97] = prediction[:, :, 928:] = 9
    cropped = scores_of(protocol, reference, prediction)
    assert cropped["adapted_rand_error"] == 0
    assert cropped["images_cropped"] == 1
    whole = scores_of(protocol, reference[:, :1000], prediction[:, :1000])
    assert whole["adapted_rand_error"] > 0.1
    assert whole["images_cropped"] == 0
    assert reference[SNEMI3D_CROP].shape == (75, 831, 831)


def test_cremi_leaves_out_unlabelled_voxels():
    protocol = PROTOCOLS["cremi"]
    reference = np.array([[[1, 1, 2, 2, 0, 2**64 - 1]]], np.uint64)
    assert scores_of(protocol, reference, np.array([[[5, 5, 6, 6, 5, 6]]]))["cremi_score"] == 0
    assert scores_of(protocol, reference, np.array([[[5, 5, 5, 5, 1, 1]]]))["voi_merge"] == 1
    assert scores_of(protocol, reference, np.array([[[5, 6, 7, 7, 1, 1]]]))["voi_split"] == 0.5


def test_isbi2012_splits_masks_and_thins_borders():
    protocol = PROTOCOLS["isbi2012"]
    mask = np.ones((1, 31, 31), np.uint8)
    mask[0, 10:21] = 0
    labels = np.zeros((1, 31, 31), int)
    labels[0, :15], labels[0, 16:] = 4, 5
    assert scores_of(protocol, labels, mask)["v_rand"] == pytest.approx(1)
    assert scores_of(protocol, labels, mask)["v_info"] == pytest.approx(1)
    broken = mask.copy()
    broken[0, :, 15] = 1
    assert scores_of(protocol, labels, broken)["v_rand"] < 0.7


def test_mitoem_ranks_by_probability_where_there_is_one():
    protocol = PROTOCOLS["mitoem"]
    reference, prediction = np.zeros((2, 1, 10, 10), int)
    reference[0, :3, :3] = 1
    prediction[0, :3, :3], prediction[0, 5:, 5:] = 3, 4
    assert scores_of(protocol, reference, prediction)["ap_75"] == pytest.approx(1 / 2)
    probability = np.where(prediction == 3, 0.9, 0.2)
    assert scores_of(protocol, reference, prediction, probability=probability)["ap_75"] == 1
    counts = [protocol.measure(reference, prediction, probability=each) for each in (None, probability)]
    with pytest.raises(BadInput, match="1 of 2 images"):
        protocol.scores(protocol.pool(counts))


def test_surface_measures_in_nm_and_never_mixes_units():
    protocol = PROTOCOLS["surface"]
    reference, prediction = np.zeros((2, 3, 20, 20), int)
    reference[1, 5:10, 5:10], prediction[1, 5:10, 8:13] = 1, 1
    pixels = protocol.measure(reference, prediction)
    assert protocol.scores(pixels)["hausdorff95"] == 3
    assert protocol.scores(protocol.measure(reference, prediction, (None, 4.0, 4.0)))["hausdorff95"] == 12
    flipped = protocol.measure(reference, reference[::-1] * 0 + np.roll(reference, 1, 0), (50.0, 4.0, 4.0))
    assert protocol.scores(flipped)["hausdorff95"] == 50
    assert scores_of(replace(protocol, tolerance_px=3.0), reference, prediction)["boundary_f1"] == 1
    assert protocol.scores(pixels)["boundary_f1"] < 1
    with pytest.raises(BadInput, match="1 of 2 images"):
        protocol.scores(protocol.pool([pixels, flipped]))


def test_neurites_count_what_is_predicted_zero():
    reference = np.array([[[1, 1, 1, 1, 0, 2, 2, 2, 2]]])
    prediction = np.array([[[1, 1, 1, 0, 7, 2, 2, 0, 2]]])
    scores = scores_of(PROTOCOLS["neurites"], reference, prediction)
    assert scores["predicted_zero"] == pytest.approx(2 / 8)
    error, _, _ = adapted_rand_error(reference, prediction)
    assert scores["adapted_rand_error_scikit_image"] == pytest.approx(error)
    split, merge = variation_of_information(reference[reference > 0], prediction[reference > 0])
    assert (scores["voi_split"], scores["voi_merge"]) == pytest.approx((split, merge))
    assert scores["voi"] == pytest.approx(split + merge)
    snemi = scores_of(PROTOCOLS["snemi3d"], reference, prediction)
    assert scores["adapted_rand_error"] == pytest.approx(snemi["adapted_rand_error"])


def test_unlinked_slices_are_perfect_in_2d_alone():
    reference = np.repeat(cells(3, (1, 60, 60), 30), 20, axis=0)
    prediction = reference + np.arange(20, dtype=reference.dtype)[:, None, None] * 1000 * (reference > 0)
    assert scores_of(PROTOCOLS["neurites_2d"], reference, prediction)["adapted_rand_error"] == pytest.approx(0)
    assert scores_of(PROTOCOLS["neurites"], reference, prediction)["adapted_rand_error"] > 0.8
    for name in ("mitoem", "mitoem_2d"):
        assert scores_of(PROTOCOLS[name], reference, reference)["ap_75"] == 1
    assert scores_of(PROTOCOLS["mitoem_2d"], reference, prediction)["ap_75"] == 1
    assert scores_of(PROTOCOLS["mitoem"], reference, prediction)["ap_75"] == 0


@pytest.mark.parametrize(
    ("task", "classes", "objects", "name"),
    [
        ("instances", 2, None, "instances"),
        ("instances", 2, "3d", "instances"),
        ("instances", 2, "2d", "instances_2d"),
        ("semantic", 2, "2d", "semantic"),
        ("semantic", 4, "2d", "multiclass"),
    ],
)
def test_default_protocol(task, classes, objects, name):
    protocol = default_protocol(task, classes, objects)
    assert protocol.name == name
    assert getattr(protocol, "classes", 2) == classes  # multiclass alone knows their number


def test_mitoem_2d_ranks_by_probability_too():
    reference = cells(5, (3, 40, 40), 12)
    scores = scores_of(PROTOCOLS["mitoem_2d"], reference, reference, probability=np.full(reference.shape, 0.5))
    assert scores["ap_75"] == 1
