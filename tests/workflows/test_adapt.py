"""The verb adapt on two small domains: every method whole, without a leak, resumable, with clear refusals."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

import anyscope
from anyscope.adaptation.begin import earlier_weights
from anyscope.adaptation.catalog import STEPS
from anyscope.errors import BadInput
from anyscope.images import ReadOptions, open_image, read_labels, write_image, write_labels
from anyscope.models import SegmenterSpec, load_segmenter
from anyscope.training.loop import EARLIER
from anyscope.training.settings import train_settings

from ..adaptation.conftest import write_discs

TRAIN = {
    "model": "unet_simple",
    "arguments": {"filters": [4, 8]},
    "patch_px": 32,
    "batch": 2,
    "epochs": 2,
    "steps_per_epoch": 12,
    "learning_rate": 0.02,
}
SPLIT = (
    "labels: mask\nsplit:\n  train: {i0: '[:, :]', i1: '[:, :]', i2: '[:, :]'}\n"
    "  val: {i3: '[:, :]'}\n  test: {i4: '[:, :]'}\n"
)
COUNTS = {"epochs": 2, "steps_per_epoch": 2, "constant_epochs": 1, "decaying_epochs": 1, "places": 8, "filters": 4}
BY_METHOD = {
    "y-net": {"epochs": [1, 1, 1], "steps_per_epoch": 2, "last_steps_per_epoch": 2},
    "damt": {"width": 32, "cells": 1},
    "rescale": {"steps_per_octave": 1},
    "style": {"patch_px": 32, "blocks": 1},
    "cyclegan": {"patch_px": 32, "blocks": 1},
}


def small(method: str, **train: object) -> dict[str, object]:
    """Settings of a run of a second or two."""
    given: dict[str, object] = {"train": {**TRAIN, **train}, "candidates": 2}
    for name in method.split("+"):
        if name in STEPS:
            fields = STEPS[name].model_fields
            given[name] = {key: value for key, value in COUNTS.items() if key in fields} | BY_METHOD.get(name, {})
    return {key: value for key, value in given.items() if value or key not in STEPS}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    root = write_discs(tmp_path_factory.mktemp("adapt") / "source", count=5)
    (root / "dataset.yaml").write_text(SPLIT)
    return root


@pytest.fixture
def target(tmp_path):
    root = write_discs(tmp_path / "target", count=3, level=(30, 90), noise=14, seed=1)
    (root / "dataset.yaml").write_text("labels: mask\n")
    return root


def trace(out):
    """Everything that an adaptation decided: weights, chosen epochs, scale, judgements."""
    weights = hashlib.sha256((out / "segmenter" / "weights.safetensors").read_bytes()).hexdigest()
    spec = (out / "segmenter" / "segmenter.yaml").read_text()
    return weights, spec, json.loads((out / "adaptation.json").read_text())


METHODS = ["none", *STEPS, "rescale+histogram+mean-teacher"]


@pytest.mark.parametrize("method", METHODS)
def test_labels_of_the_target_change_nothing(method, source, target, tmp_path):
    """Proper labels, labels of noise, and no labels at all give the same run, bit for bit."""
    given = small(method)
    anyscope.adapt(source, target, tmp_path / "proper", method=method, given=given)
    random = np.random.default_rng(0)
    for path in (target / "labels").iterdir():
        write_labels(path, random.integers(0, 2, (1, 48, 56)).astype(np.uint8))
    anyscope.adapt(source, target, tmp_path / "noise", method=method, given=given)
    assert trace(tmp_path / "noise") == trace(tmp_path / "proper")
    if method in ("none", "rescale+histogram+mean-teacher"):
        shutil.rmtree(target / "labels")
        anyscope.adapt(source, target, tmp_path / "without", method=method, given=given)
        assert trace(tmp_path / "without") == trace(tmp_path / "proper")


def test_a_target_without_content_is_refused(source, tmp_path):
    for number in range(3):
        write_image(tmp_path / "dark" / f"{number}.tif", np.full((1, 1, 64, 64), 7, np.uint16))
    with pytest.raises(BadInput, match=r"0\.tif: one grey level \(7\) in all of 3 image\(s\)") as caught:
        anyscope.adapt(source, tmp_path / "dark", tmp_path / "run", method="none")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_folder_of_images_is_a_target_too(source, target, tmp_path):
    """As a dataset folder of the same images without a split: both are learned from whole."""
    bare = shutil.copytree(target / "images", tmp_path / "bare")
    anyscope.adapt(source, target, tmp_path / "folder", method="histogram", given=small("histogram"))
    anyscope.adapt(source, bare, tmp_path / "images", method="histogram", given=small("histogram"))
    weights, _, document = trace(tmp_path / "folder")
    assert trace(tmp_path / "images")[0] == weights
    assert trace(tmp_path / "images")[2] == document | {"target": "bare"}


def test_a_run_holds_a_segmenter_that_predicts_and_says_where_it_comes_from(source, target, tmp_path):
    result = anyscope.adapt(
        source, target, tmp_path / "run", method="rescale+histogram", given=small("rescale+histogram")
    )
    assert [step["name"] for step in result.document["steps"]] == ["histogram", "supervised", "rescale"]
    assert set(result.document["steps"][1]["choices"]) >= {"source-validation", "last", "solidity", "combined"}
    predicted = anyscope.predict(tmp_path / "run", target, tmp_path / "predicted")
    assert len(list(predicted.out.glob("*.tif"))) == 3
    spec = (tmp_path / "run" / "segmenter" / "segmenter.yaml").read_text()
    assert "adapted_to: target" in spec
    assert "method: rescale+histogram" in spec


def test_without_a_method_the_domains_are_compared_and_one_is_proposed(source, target, tmp_path, capsys):
    result = anyscope.adapt(source, target, tmp_path / "run", given={"train": TRAIN, "candidates": 2, **QUICK})
    assert result.document["method"] == "rescale+fixmatch"
    assert result.document["differences"]
    assert "proposed: " in capsys.readouterr().err


QUICK = {"rescale": {"steps_per_octave": 1}, "fixmatch": {"epochs": 1, "steps_per_epoch": 2}}


def test_a_run_of_training_says_whether_a_gap_shows(tmp_path, capsys):
    """It keeps weights from a quarter before its end, with which adapt --init compares its segmenter."""
    source = write_discs(tmp_path / "source", count=4)
    # Without a validation part the last epoch is the best, and later than the one that is kept beside it.
    (source / "dataset.yaml").write_text("labels: mask\nsplit: {train: {i0: '[:, :]', i1: '[:, :]', i2: '[:, :]'}}\n")
    anyscope.train(source, tmp_path / "run", settings=train_settings(**{**TRAIN, "epochs": 4}))
    assert (tmp_path / "run" / EARLIER).is_file()
    given = {"only_for_gaps": True, "tent": {"epochs": 1, "steps_per_epoch": 1}}
    same = anyscope.adapt(source, source, tmp_path / "same", method="tent", given=given, init=tmp_path / "run")
    assert same.document["gap"]["source"] == same.document["gap"]["target"] > 0
    assert same.document["left_out"] == ["tent"]
    assert same.document["steps"] == []
    before, after = (load_segmenter(tmp_path / name).state_dict() for name in ("run", "same"))
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    assert "left out, no gap shows" in capsys.readouterr().err
    page = same.report.read_text()
    assert "From source to source, as it was" in page
    assert "Left out: tent. No gap shows" in page


def test_weights_that_are_no_earlier_than_the_best_say_nothing(tmp_path):
    (tmp_path / EARLIER).parent.mkdir()
    (tmp_path / EARLIER).write_bytes(b"")
    spec = SegmenterSpec(model="unet_simple", task="semantic", channels=1, provenance={"epochs": 8, "best_epoch": 7})
    assert earlier_weights(tmp_path, spec) == tmp_path / EARLIER
    for provenance in ({"epochs": 8, "best_epoch": 6}, {"epochs": 8, "best_epoch": None}, {}):
        assert earlier_weights(tmp_path, spec.model_copy(update={"provenance": provenance})) is None
    assert earlier_weights(tmp_path / "elsewhere", spec) is None


def test_what_is_finished_is_not_done_again_and_other_settings_are_refused(source, target, tmp_path, capsys):
    given = small("none")
    anyscope.adapt(source, target, tmp_path / "run", method="none", given=given)
    before = trace(tmp_path / "run")
    anyscope.adapt(source, target, tmp_path / "run", method="none", given=given, resume=True)
    assert trace(tmp_path / "run") == before
    assert "nothing to do" in capsys.readouterr().err
    with pytest.raises(BadInput, match="train.epochs was 2, is 3"):
        anyscope.adapt(source, target, tmp_path / "run", method="none", given=small("none", epochs=3), resume=True)


@pytest.mark.parametrize("method", ["mean-teacher", pytest.param("style", marks=pytest.mark.slow)])
def test_a_killed_run_ends_as_one_that_was_not(method, source, target, tmp_path):
    """Killed hard in the second learning step, resumed on the command line."""
    given = small(method, epochs=2)
    arguments = [f"--set={name}={json.dumps(value)}" for name, value in given["train"].items() if name != "model"]
    arguments = [text.replace("--set=", "--set=train.") for text in arguments]
    arguments += [f"--set={method}.{name}={json.dumps(value)}" for name, value in given[method].items()]
    command = [
        sys.executable, "-m", "anyscope.cli", "adapt", f"--source={source}", f"--target={target}",
        f"--method={method}", "--model=unet_simple", "--set=candidates=2", *arguments,
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*command, f"--out={tmp_path / 'whole'}"], check=True, env=environment, capture_output=True)
    process = subprocess.Popen(
        [*command, f"--out={tmp_path / 'parts'}"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    second = tmp_path / "parts" / "steps" / f"2-{method}"
    deadline = time.monotonic() + 120
    while not second.is_dir() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "parts" / "segmenter").exists()
    subprocess.run(
        [*command, f"--out={tmp_path / 'parts'}", "--resume"], check=True, env=environment, capture_output=True
    )
    assert trace(tmp_path / "parts") == trace(tmp_path / "whole")


def test_a_trained_segmenter_is_only_trained_again_where_its_source_changes(source, target, tmp_path):
    given = small("none")
    anyscope.adapt(source, target, tmp_path / "first", method="none", given=given)
    init = tmp_path / "first"
    again = anyscope.adapt(source, target, tmp_path / "rescaled", method="rescale", given=small("rescale"), init=init)
    assert [step["name"] for step in again.document["steps"]] == ["rescale"]
    matched = anyscope.adapt(source, target, tmp_path / "matched", method="histogram", given=given, init=init)
    assert [step["name"] for step in matched.document["steps"]] == ["histogram", "supervised"]


def test_a_few_labelled_target_images_are_learned_from_when_asked(source, target, tmp_path):
    few = write_discs(tmp_path / "few", count=1, level=(30, 90), noise=14, seed=9)
    plain = anyscope.adapt(source, target, tmp_path / "plain", method="none", given=small("none"))
    more = anyscope.adapt(source, target, tmp_path / "more", method="none", given=small("none"), target_labels=few)
    assert trace(more.run)[0] != trace(plain.run)[0]


def test_classes_and_objects_can_be_adapted(source, target, tmp_path):
    result = anyscope.adapt(
        source, target, tmp_path / "objects", method="histogram", given=small("histogram", task="instances")
    )
    assert result.document["steps"][-1]["candidates"][0]["target"]["planes"] > 0
    classes = write_discs(tmp_path / "classes", count=5)
    (classes / "dataset.yaml").write_text(SPLIT.replace("labels: mask", "labels: classes"))
    for path in (classes / "labels").iterdir():
        labels = np.zeros((1, 48, 56), np.uint8)
        labels[:, 10:20, 10:40], labels[:, 30:40, 10:40] = 1, 2
        write_labels(path, labels)
    result = anyscope.adapt(classes, target, tmp_path / "run", method="histogram", given=small("histogram"))
    assert "classes: 3" in (result.run / "segmenter" / "segmenter.yaml").read_text()


class TestBadInput:
    def test_channels(self, source, tmp_path):
        root = tmp_path / "rgb"
        write_image(root / "images" / "a.tif", np.zeros((3, 1, 40, 40), np.uint8))
        with pytest.raises(BadInput, match=r"a\.tif: 3 channel\(s\); expected 1 .* --channel"):
            anyscope.adapt(source, root, tmp_path / "run", method="none", given=small("none"))

    def test_empty_target(self, source, tmp_path):
        (tmp_path / "nothing" / "images").mkdir(parents=True)
        with pytest.raises(BadInput, match="nothing/images: is empty"):
            anyscope.adapt(source, tmp_path / "nothing", tmp_path / "run", method="none")

    def test_unlabelled_source(self, target, tmp_path):
        shutil.rmtree(target / "labels")
        with pytest.raises(BadInput, match="this step needs labels"):
            anyscope.adapt(target, target, tmp_path / "run", method="none")

    @pytest.mark.parametrize(
        ("method", "message"),
        [
            ("histogramm", r"adaptation method 'histogramm'.*histogram"),
            ("histogram+histogram", "histogram stands twice"),
            ("y-net+supervised", "both ways to train"),
            ("adabn", r"no batch normalisation|batch"),
        ],
    )
    def test_methods(self, method, message, source, target, tmp_path):
        model = {"arguments": {"filters": [4, 8], "norm": "none"}} if method == "adabn" else {}
        with pytest.raises(BadInput, match=message):
            anyscope.adapt(source, target, tmp_path / "run", method=method, given=small(method, **model))
        assert not (tmp_path / "run").exists()

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"mean-techer": {"ema": 0.9}}, "mean-techer"),
            ({"rescale": {"octave": 1}}, "octave"),
            ({"rescale": {"octaves": -1}}, "octaves"),
            ({"selection": "oracle"}, "selection rule 'oracle'"),
            ({"train": {"epoch": 1}}, "epoch"),
            ({"histogram": {}}, "no such step"),
        ],
    )
    def test_settings(self, given, message, source, target, tmp_path):
        with pytest.raises(BadInput, match=message):
            anyscope.adapt(source, target, tmp_path / "run", method="rescale", given=given)

    def test_source_as_target_is_a_warning(self, source, tmp_path, capsys):
        anyscope.adapt(source, source, tmp_path / "run", method="none", given=small("none"))
        assert "source and target are the same folder" in capsys.readouterr().err

    def test_an_unknown_pixel_size_is_a_warning(self, source, target, tmp_path, capsys):
        anyscope.adapt(
            source, target, tmp_path / "run", method="none", given=small("none", pixel_size_nm=4.0),
            source_read=ReadOptions(voxel_size_nm=(4.0, 4.0)),
        )  # fmt: skip
        assert "the pixel size of 3 target image(s) is unknown" in capsys.readouterr().err

    def test_other_bit_depths_need_nothing(self, source, target, tmp_path):
        """The same images with 8 bits, and with 16 and 32, give the same domains and the same masks."""
        deep = shutil.copytree(target, tmp_path / "deep")
        for stem, change in {
            "i0": lambda x: x.astype(np.uint16) * 257,
            "i1": lambda x: x.astype(np.float32) / 255,
        }.items():
            path = deep / "images" / f"{stem}.tif"
            write_image(path, change(open_image(path).read()))
        documents, masks = [], []
        for root in (target, deep):
            run = tmp_path / f"run_{root.name}"
            documents.append(anyscope.adapt(source, root, run, method="histogram", given=small("histogram")).document)
            predicted = anyscope.predict(run, root, tmp_path / f"masks_{root.name}", device="cpu")
            masks.append(np.stack([read_labels(path) > 0 for _, path in sorted(predicted.labels.items())]))
        shallow, found = (document["comparison"]["target"] for document in documents)
        for name in ("mean", "contrast", "noise"):
            assert found[name] == pytest.approx(shallow[name], rel=1e-3)
        assert 0 < masks[0].mean() < 1
        assert (masks[0] == masks[1]).mean() > 0.99
