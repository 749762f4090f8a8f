"""Pre-training from folders to a start for training; labels are never opened."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from tests.workflows.conftest import tiny as tiny_training

import anyscope
from anyscope import cli
from anyscope.datasets import open_dataset
from anyscope.errors import BadInput, Interrupted
from anyscope.images import read_labels, write_image, write_labels
from anyscope.models import load_segmenter
from anyscope.running.run_folder import RunFolder
from anyscope.training.pretraining import PretextCourse, pretrain_settings

TINY = {
    "model": "unet_simple",
    "arguments": {"filters": [4, 8]},
    "patch_px": 32,
    "batch": 2,
    "epochs": 2,
    "steps_per_epoch": 3,
    "learning_rate": 0.02,
    "parameters": {"piece_px": 8},
}


def tiny(**changes):
    return pretrain_settings(**{**TINY, **changes})


def weights(run):
    return load_segmenter(run, pretrained=True).state_dict()


def same(one, other):
    return all(torch.equal(value, other[key]) for key, value in one.items())


@pytest.fixture(scope="module")
def run(tmp_path_factory, blobs):
    out = tmp_path_factory.mktemp("pretrained") / "pre"
    anyscope.pretrain(blobs, out, settings=tiny(), device="cpu")
    return out


def test_a_run_holds_what_the_design_says(run):
    names = {path.name for path in run.iterdir()}
    assert {"settings.yaml", "environment.json", "metrics.jsonl", "segmenter", "checkpoints", "tensorboard",
            "finished.json", "report.html", "pictures.npz"} <= names  # fmt: skip
    spec = load_segmenter(run, pretrained=True).spec
    assert spec.weights == "unet_simple, pre-trained on data (masked, 6 steps), before that random, seed 0"
    assert spec.pretext == spec.provenance["pretext"] == "masked"
    assert not any(str(run.parent) in path.read_text() for path in (run / "segmenter").glob("*.yaml"))
    finished = json.loads((run / "finished.json").read_text())
    assert set(finished) == {"spoiled_error", "repaired_error"}
    page = (run / "report.html").read_text()
    assert page.count("data:image/jpeg;base64") == 18
    assert "nothing learned" in page or finished["repaired_error"] < finished["spoiled_error"]
    assert "train --data LABELLED" in page


def test_training_starts_from_it_and_reports_the_last_layer(run, blobs, tmp_path, capsys):
    settings = tiny_training(
        heads=["mask", "boundary"], epochs=1, steps_per_epoch=1, learning_rate=1e-9, ema=0, weight_decay=0
    )
    anyscope.train(blobs, tmp_path / "run", settings=settings, init=run, device="cpu")
    lines = capsys.readouterr().err
    assert "other shape, kept as it was: net.head.weight is (1, 4, 1, 1) in the file, (2, 4, 1, 1) here" in lines
    trained = load_segmenter(tmp_path / "run")
    assert trained.spec.pretext is None
    assert "tensors from pre (unet_simple, pre-trained on data (masked, 6 steps)" in trained.spec.weights
    before = weights(run)
    learned = {key for key in before if key.endswith("weight") and not key.startswith("net.head")}
    assert all(torch.allclose(trained.state_dict()[key], before[key], atol=1e-6) for key in learned)


def test_a_frozen_encoder_is_the_one_that_was_pre_trained(run, blobs, tmp_path):
    anyscope.train(blobs, tmp_path / "run", settings=tiny_training(tune="frozen"), init=run, device="cpu")
    before, after = weights(run), load_segmenter(tmp_path / "run").state_dict()
    assert same({key: value for key, value in after.items() if key.startswith("net.down.0.")}, before)
    assert not same({key: value for key, value in after.items() if key.startswith("net.up")}, before)


@pytest.mark.parametrize("verb", ["predict", "stress", "adapt"])
def test_it_is_no_segmenter(run, blobs, tmp_path, verb):
    with pytest.raises(BadInput, match=r"only pre-trained \(masked\).*train --init"):
        if verb == "predict":
            anyscope.predict(run, blobs, tmp_path / "out", device="cpu")
        elif verb == "stress":
            anyscope.stress([run], blobs, tmp_path / "out", device="cpu")
        else:
            anyscope.adapt(blobs, blobs, tmp_path / "out", init=run, device="cpu")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("labels", ["noise", "none", "not readable"])
def test_labels_are_never_opened(run, blobs, tmp_path, labels):
    data = shutil.copytree(blobs, tmp_path / "data")
    if labels == "none":
        shutil.rmtree(data / "labels")
    for number, path in enumerate(sorted((data / "labels").glob("*.tif"))):
        if labels == "noise":
            write_labels(path, np.random.default_rng(number).integers(0, 9, read_labels(path).shape, dtype=np.uint8))
        else:
            path.write_bytes(b"no image")
    anyscope.pretrain(data, tmp_path / "out", settings=tiny(), device="cpu")
    assert same(weights(run), weights(tmp_path / "out"))


def test_test_images_are_left_alone_unless_all_are_asked_for(run, blobs, tmp_path):
    data = shutil.copytree(blobs, tmp_path / "data")
    for stem in open_dataset(data).split["test"]:
        write_image(data / "images" / f"{stem}.tif", np.zeros((1, 1, 48, 56), np.uint8))
    anyscope.pretrain(data, tmp_path / "out", settings=tiny(), device="cpu")
    assert same(weights(run), weights(tmp_path / "out"))
    anyscope.pretrain(data, tmp_path / "all", settings=tiny(images="all"), device="cpu")
    assert not same(weights(run), weights(tmp_path / "all"))
    assert "saw all images" in (tmp_path / "all" / "report.html").read_text()
    assert load_segmenter(tmp_path / "all", pretrained=True).spec.provenance["part"] == "all"


def test_a_file_a_folder_and_several_are_read(blobs, tmp_path):
    stack = np.random.default_rng(0).integers(0, 255, (1, 6, 40, 40)).astype(np.uint8)
    write_image(tmp_path / "stack.tif", stack)
    one = anyscope.pretrain(tmp_path / "stack.tif", tmp_path / "one", settings=tiny(epochs=1), device="cpu")
    assert one.report.is_file()
    several = [blobs, blobs / "images", tmp_path / "stack.tif"]
    anyscope.pretrain(
        several, tmp_path / "out", settings=tiny(epochs=1, pretext="crappify", parameters={}), device="cpu"
    )
    spec = load_segmenter(tmp_path / "out", pretrained=True).spec
    assert "pre-trained on data and images and stack.tif (crappify, 3 steps)" in spec.weights
    with pytest.raises(BadInput, match="no such file or folder"):
        anyscope.pretrain(tmp_path / "nothing", tmp_path / "none", settings=tiny(), device="cpu")
    assert not (tmp_path / "none").exists()


def test_colours_and_neighbours_are_repaired_channel_by_channel(tmp_path):
    stack = np.random.default_rng(0).integers(0, 255, (3, 6, 40, 40)).astype(np.uint8)
    write_image(tmp_path / "colours.tif", stack)
    settings = tiny(neighbours=1, epochs=1)
    anyscope.pretrain(tmp_path / "colours.tif", tmp_path / "out", settings=settings, device="cpu")
    network = load_segmenter(tmp_path / "out", pretrained=True)
    assert network(torch.rand(1, 9, 16, 16)).shape == (1, 9, 16, 16)
    assert network.spec.out_channels == 9


def test_finished_work_is_not_done_again_and_other_settings_are_refused(run, blobs, capsys):
    before = (run / "segmenter" / "weights.safetensors").stat().st_mtime_ns
    result = anyscope.pretrain(blobs, run, settings=tiny(), device="cpu", resume=True)
    assert "finished already" in capsys.readouterr().err
    assert result.repaired_error > 0
    assert (run / "segmenter" / "weights.safetensors").stat().st_mtime_ns == before
    with pytest.raises(BadInput, match="other settings: .*pretext was .masked., is .crappify."):
        anyscope.pretrain(blobs, run, settings=tiny(pretext="crappify", parameters={}), device="cpu", resume=True)
    with pytest.raises(BadInput, match="--force"):
        anyscope.pretrain(blobs, run, settings=tiny(), device="cpu")


def test_it_starts_from_other_weights(run, blobs, tmp_path):
    settings = tiny(epochs=1, steps_per_epoch=1, learning_rate=1e-9, ema=0, weight_decay=0, seed=3)
    anyscope.pretrain(blobs, tmp_path / "out", settings=settings, init=run, device="cpu")
    learned = {key: value for key, value in weights(run).items() if key.endswith("weight")}
    assert all(torch.allclose(value, weights(tmp_path / "out")[key], atol=1e-6) for key, value in learned.items())
    assert "before that" in load_segmenter(tmp_path / "out", pretrained=True).spec.weights


def test_the_report_can_be_made_again_without_pictures(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    (copy / "pictures.npz").write_bytes(b"no pictures")
    text = anyscope.report(copy).read_text()
    assert "There are no pictures" in text
    assert "data:image/jpeg" not in text


def test_a_killed_and_interrupted_run_ends_with_the_same_weights(blobs, tmp_path, monkeypatch):
    broken, settings = tmp_path / "broken", tiny(epochs=9)
    pairs = {**TINY, "epochs": 9}
    flags = [word for key, value in pairs.items() for word in ("--set", f"{key}={json.dumps(value)}")]
    arguments = ["pretrain", "--data", blobs, "--out", broken, "--device", "cpu", *flags]
    process = subprocess.Popen([sys.executable, "-m", "anyscope.cli", *map(str, arguments)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (broken / "metrics.jsonl").exists() or (broken / "metrics.jsonl").read_text().count("\n") < 2:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not (broken / "segmenter").exists()

    step = PretextCourse.step

    def interrupted(self, number):
        if number == 25:
            raise KeyboardInterrupt
        return step(self, number)

    with monkeypatch.context() as patch:
        patch.setattr(PretextCourse, "step", interrupted)
        with pytest.raises(Interrupted, match="--resume"):
            anyscope.pretrain(blobs, broken, settings=settings, device="cpu", resume=True)
    with pytest.raises(BadInput, match="has not ended"):
        anyscope.report(broken)
    anyscope.pretrain(blobs, broken, settings=settings, device="cpu", resume=True)
    anyscope.pretrain(blobs, tmp_path / "whole", settings=settings, device="cpu")
    assert same(weights(tmp_path / "whole"), weights(broken))
    for one, other in zip(RunFolder(tmp_path / "whole").records(), RunFolder(broken).records(), strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}
    assert not [path.name for path in broken.rglob("*.part*")]


def test_the_command_line(blobs, tmp_path, capsys):
    flags = [word for key, value in {**TINY, "epochs": 1}.items() for word in ("--set", f"{key}={json.dumps(value)}")]
    code = cli.main(["pretrain", "--data", str(blobs), "--out", str(tmp_path / "out"), "--json", *flags])
    captured = capsys.readouterr()
    assert code == 0
    assert set(json.loads(captured.out)) == {"run", "spoiled_error", "repaired_error", "report"}
    assert "labels are not opened" in captured.err
    assert "memory: about" in captured.err
    for wrong in (["--pretext", "maskd"], ["--set", "parameters.shar=1"], ["--model", "unett"]):
        assert cli.main(["pretrain", "--data", str(blobs), "--out", str(tmp_path / "no"), *wrong]) == 2
        assert capsys.readouterr().err.splitlines()[-1].startswith("anyscope: ")
    assert not (tmp_path / "no").exists()


def test_a_broken_training_setting_is_one_line_before_anything_is_written(blobs, tmp_path):
    with pytest.raises(BadInput, match="no low-rank adapters"):
        anyscope.train(blobs, tmp_path / "run", settings=tiny_training(tune="lora"), device="cpu")
    assert not (tmp_path / "run").exists()
