"""Synthetic images after real ones, from the command line and from Python."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from tests.synthesis.conftest import blobs
from typer.testing import CliRunner

import anyscope
from anyscope.cli import app
from anyscope.datasets import open_dataset
from anyscope.errors import BadInput
from anyscope.images import write_image, write_labels

FAST = {"patch_px": 32, "batch": 2, "epochs": 2, "steps_per_epoch": 40, "filters": 8, "blocks": 1,
        "discriminator_filters": 4, "learning_rate": 2e-3}  # fmt: skip


@pytest.fixture
def nuclei(tmp_path):
    root = tmp_path / "real"
    for number in range(8):
        labels, image = blobs(number)
        write_image(root / "images" / f"{number}.tif", (image[None, None] * 50000).astype(np.uint16), None)
        write_labels(root / "labels" / f"{number}.tif", labels[None], None)
    return root


def hashes(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_physics(nuclei, tmp_path):
    out = anyscope.data_like(nuclei, tmp_path / "out", by="physics", count=3, shape=(64, 72), changes={"snr": 6})
    dataset = open_dataset(out)
    assert len(dataset.images) == 3
    record = json.loads((out / "records" / "painted-0001.json").read_text())
    assert record["painter"]["by"] == "physics"
    assert record["snr"]["measured"] == pytest.approx(6, rel=0.01)
    labels = tifffile.imread(out / "labels" / "painted-0001.tif")
    signal = tifffile.imread(out / "signal" / "painted-0001.tif")
    assert labels.shape == signal.shape == (64, 72)
    assert record["objects"] == labels.max() == len(record["brightness"])
    assert signal[labels > 0].mean() > 1.5 * signal[labels == 0].mean()
    more = anyscope.data_like(nuclei, tmp_path / "more", by="physics", count=4, shape=(64, 72), changes={"snr": 6})
    own, others = hashes(out), hashes(more)
    assert all(others[name] == content for name, content in own.items())


def test_a_network_learns_once_and_paints_again(nuclei, tmp_path):
    changes = {"painter": FAST, "snr": 8}
    first = anyscope.data_like(nuclei, tmp_path / "out", count=2, shape=(64, 64), changes=changes, device="cpu")
    kept = tmp_path / "out-painter"
    weights = (kept / "painter" / "weights.safetensors").read_bytes()
    record = json.loads((first / "records" / "painted-0000.json").read_text())
    assert record["painter"] == {"by": "learned", "dataset": "real", "steps": 80}
    second = anyscope.data_like(kept, tmp_path / "again", count=2, shape=(64, 64), device="cpu")
    assert hashes(first) == hashes(second)
    anyscope.data_like(nuclei, tmp_path / "out", count=1, shape=(64, 64), changes=changes, device="cpu", force=True)
    assert (kept / "painter" / "weights.safetensors").read_bytes() == weights
    with pytest.raises(BadInput, match=r"painter\.epochs"):
        anyscope.data_like(
            nuclei, tmp_path / "third", painter=kept, changes={"painter": {**FAST, "epochs": 3}}, device="cpu"
        )


def test_a_network_that_has_learned_nothing_is_refused(nuclei, tmp_path):
    idle = {"painter": {**FAST, "epochs": 1, "steps_per_epoch": 1, "learning_rate": 1e-9}}
    with pytest.raises(BadInput, match="let it learn longer"):
        anyscope.data_like(nuclei, tmp_path / "out", count=1, shape=(64, 64), changes=idle, device="cpu")
    assert not (tmp_path / "out").exists()


def test_test_images_are_not_looked_at(nuclei, tmp_path):
    """Noise in the place of what is not of the training part changes nothing."""
    first = anyscope.data_like(nuclei, tmp_path / "one", by="physics", count=2, shape=(64, 64))
    held_out = [stem for part in ("val", "test") for stem in open_dataset(nuclei).split[part]]
    assert held_out
    for stem in held_out:
        noise = np.random.default_rng(0).integers(0, 50000, (1, 1, 96, 80)).astype(np.uint16)
        write_image(nuclei / "images" / f"{stem}.tif", noise, None)
        write_labels(nuclei / "labels" / f"{stem}.tif", (noise[0] % 5).astype(np.uint8), None)
    second = anyscope.data_like(nuclei, tmp_path / "two", by="physics", count=2, shape=(64, 64))
    assert hashes(first) == hashes(second)


def test_wrong_use(nuclei, tmp_path):
    for changes, words in (
        ({"painter": {"speed": 1}}, "setting of the painter 'speed'"),
        ({"painter": 3}, "'painter'"),
        ({"camera.binning": 2}, "binning"),
        ({"snr": -1}, "'snr'"),
    ):
        with pytest.raises(BadInput, match=words):
            anyscope.data_like(nuclei, tmp_path / "out", by="physics", changes=changes)
        assert not (tmp_path / "out").exists()
    for path in (nuclei / "labels").iterdir():
        labels = tifffile.imread(path)
        write_labels(path, np.zeros_like(labels)[None], None)
    with pytest.raises(BadInput, match="objects and background"):
        anyscope.data_like(nuclei, tmp_path / "out", by="physics")


def test_command_line(nuclei, tmp_path):
    run = CliRunner().invoke
    out = tmp_path / "out"
    made = run(
        app, ["data", "synth", "--like", str(nuclei), "--by", "physics", "--out", str(out), "--count", "9",
              "--size", "96,96", "--json"],
    )  # fmt: skip
    assert json.loads(made.stdout) == {"dataset": str(out)}
    compared = run(app, ["data", "compare", str(out), str(nuclei), "--json"])
    assert set(json.loads(compared.stdout)) == {"spectrum", "levels", "features", "chance", "crops"}
    assert "Frechet" in run(app, ["data", "compare", str(out), str(nuclei)]).stdout
    for arguments, words in (
        (["--by", "physics"], "without --like"),
        (["--like", str(nuclei), "--specimen", "er"], "given with --like"),
        (["--volume", "48,48,48", "--specimen", "er"], "given with --volume"),
        (["--volume", "48,48,48", "--like", str(nuclei)], "given with --volume"),
        (["--volume", "48,48,20"], "at least 40 voxels"),
    ):
        failed = run(app, ["data", "synth", "--out", str(tmp_path / "no"), *arguments])
        assert failed.exit_code != 0
        assert words in str(failed.exception)
