"""Evaluations of sets of images."""

from __future__ import annotations

import json
import subprocess
import sys
from math import isnan

import numpy as np
import pytest

from anyscope.errors import BadInput
from anyscope.metrics import PROTOCOLS, Pair, evaluate_counts, evaluate_pairs
from anyscope.metrics.evaluation import bootstrap_interval
from anyscope.seeding import generator

from .label_images import cells, perturbed

SEMANTIC = PROTOCOLS["semantic"]
NOTHING = np.zeros((1, 4), int)
HALF = (np.array([[1, 1, 0, 0]]), np.array([[0, 1, 0, 0]]))
FULL = (np.array([[1, 1, 1, 0]]), np.array([[1, 1, 1, 0]]))


def pairs(count=6):
    return [(f"image{seed}", cells(seed), perturbed(cells(seed), seed)) for seed in range(count)]


def test_pooled_scores_and_means_by_hand():
    found = evaluate_pairs(SEMANTIC, [("a", *HALF), ("b", *FULL), ("empty", NOTHING, NOTHING)])
    assert (found.n, found.n_empty) == (3, 1)
    assert found.scores["foreground_iou"] == 4 / 5
    assert found.mean["foreground_iou"] == 3 / 4
    assert found.spread["foreground_iou"] == pytest.approx(np.std([0.5, 1], ddof=1))
    assert [name for name, _ in found.per_image] == ["a", "b", "empty"]
    assert isnan(found.per_image[2][1]["foreground_iou"])


@pytest.mark.parametrize("name", list(PROTOCOLS))
def test_the_document_is_strict_json(name):
    found = evaluate_pairs(PROTOCOLS[name], [*pairs(3), ("empty", cells(0) * 0, cells(0) * 0)])
    document = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert {"protocol", "conventions", "n", "n_empty", "scores", "mean", "intervals", "per_image"} <= document.keys()
    assert document["protocol"] == name
    assert (document["n"], document["n_empty"]) == (4, 1)
    assert set(document["per_image"][3]["scores"].values()) == {None}
    for score, interval in document["intervals"].items():
        assert interval is None or interval[0] <= document["mean"][score] <= interval[1]
    headline = PROTOCOLS[name].headline
    assert document["intervals"][headline][0] < document["intervals"][headline][1]


def test_the_seed_decides_the_interval_and_nothing_else():
    one, again, other = (evaluate_pairs(SEMANTIC, pairs(), seed=seed) for seed in (1, 1, 2))
    assert one == again
    assert one.intervals != other.intervals
    assert one.mean == other.mean


def test_counts_can_be_stored_and_evaluated_later():
    measured = [(name, SEMANTIC.measure(reference, prediction)) for name, reference, prediction in pairs()]
    assert evaluate_counts(SEMANTIC, measured) == evaluate_pairs(SEMANTIC, pairs())


def test_bootstrap_interval_covers_the_mean_of_a_normal_sample():
    rng = np.random.default_rng(0)
    intervals = [bootstrap_interval(rng.normal(5, 1, 40), generator(seed, "test")) for seed in range(200)]
    covered = np.mean([low < 5 < high for low, high in intervals])
    assert 0.88 < covered < 0.99
    width = np.mean([high - low for low, high in intervals])
    assert width == pytest.approx(2 * 1.96 / np.sqrt(40), rel=0.1)


def test_one_image_has_no_interval():
    found = evaluate_pairs(SEMANTIC, pairs(1))
    assert isnan(found.intervals["dice"][0])
    assert found.to_json()["intervals"]["dice"] is None
    assert found.to_json()["spread"]["dice"] is None


def test_a_pair_can_carry_voxel_size_and_probability():
    reference, prediction = np.zeros((2, 1, 20, 20), int)
    reference[0, 5:10, 5:10], prediction[0, 5:10, 8:13] = 1, 1
    surface = evaluate_pairs(PROTOCOLS["surface"], [Pair("a", reference, prediction, (10.0, 10.0))])
    assert surface.scores["hausdorff95"] == 30
    ranked = Pair("a", reference, prediction, probability=np.full(reference.shape, 0.5))
    assert evaluate_pairs(PROTOCOLS["mitoem"], [ranked]).n == 1


def test_errors_name_the_image():
    with pytest.raises(BadInput, match=r"^broken\.tif: predicted labels: shape \(1, 3\)"):
        evaluate_pairs(SEMANTIC, [("a", *HALF), ("broken.tif", NOTHING, NOTHING[:, :3])])
    with pytest.raises(BadInput, match="no images"):
        evaluate_pairs(SEMANTIC, [])


def test_importing_is_light():
    code = (
        "import sys, anyscope.metrics; print([m for m in ('numba', 'skimage', 'scipy', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["mitoem", "mitoem_2d"])
def test_what_objects_are_ranked_by_stands_beside_the_scores(name):
    labels = np.zeros((1, 12, 12), np.uint8)
    labels[0, 2:5, 2:5] = 1
    by_size = evaluate_pairs(PROTOCOLS[name], [("a", labels, labels)])
    ranked = evaluate_pairs(PROTOCOLS[name], [Pair("a", labels, labels, probability=np.full(labels.shape, 0.5))])
    assert by_size.conventions["score"].startswith("size of the object")
    assert ranked.conventions["score"] == "mean foreground probability of the object"
