"""The page that ``adapt`` and ``report`` write for an adaptation, from a small run."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

import anyscope
from anyscope.adaptation.settings import adapt_settings
from anyscope.errors import BadInput
from anyscope.images import read_labels
from anyscope.options import parse_overrides
from anyscope.reports.scenes import AdaptationPictures
from anyscope.workflows.adapt_report import changes, commands
from anyscope.workflows.report import report

from ..adaptation.conftest import write_discs

TRAIN = {
    "model": "unet_simple", "arguments": {"filters": [4, 8]}, "patch_px": 32, "batch": 2, "epochs": 2,
    "steps_per_epoch": 12, "learning_rate": 0.02,
}  # fmt: skip
GIVEN = {"train": TRAIN, "candidates": 2, "rescale": {"steps_per_octave": 1}}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two domains and an adaptation between them; the target's labels cannot be read."""
    root = tmp_path_factory.mktemp("adapted")
    write_discs(root / "source", count=5)
    split = "{i0: '[:, :]', i1: '[:, :]', i2: '[:, :]'}\n  val: {i3: '[:, :]'}"
    (root / "source" / "dataset.yaml").write_text(f"labels: mask\nsplit:\n  train: {split}\n")
    write_discs(root / "target", count=5, level=(30, 90), noise=14, seed=1)
    for path in (root / "target" / "labels").iterdir():
        path.write_bytes(b"no image")
    anyscope.adapt(root / "source", root / "target", root / "run", method="rescale+histogram", given=GIVEN)
    return root


def test_the_page_is_there_and_says_what_was_done(root: Path) -> None:
    html = (root / "run" / "report.html").read_text(encoding="utf-8")
    assert "From source to target by rescale+histogram" in html
    assert str(root) not in html
    assert "Candidates of supervised" in html
    assert len(html.encode()) < 1_500_000
    assert (
        "anyscope adapt --source source --target target --out run --method rescale+histogram --profile fast "
        "--set train.model=unet_simple"
    ) in html


def test_what_is_kept(root: Path) -> None:
    kept = AdaptationPictures.load(root / "run" / "pictures.npz")
    # Four of five images, spread over them; the whole of each, since they are small.
    assert [scene.name for scene in kept.scenes] == ["i0", "i1", "i3", "i4"]
    assert all(scene.image.shape == (48, 56) == scene.after.shape for scene in kept.scenes)
    assert kept.before.endswith("of supervised, at the nominal scale")
    distance = [np.abs(np.cumsum(kept.levels[name] - kept.levels["target"])).sum() for name in ("source", "matched")]
    assert distance[1] < 0.2 * distance[0]
    # What stands for the result is what the segmenter of the run predicts.
    predicted = anyscope.predict(root / "run", root / "target" / "images", root / "predicted")
    for scene in kept.scenes:
        (path,) = predicted.out.glob(f"{scene.name}.*")
        np.testing.assert_array_equal(read_labels(path)[0], scene.after)


def test_the_page_needs_neither_images_nor_weights(root: Path, tmp_path: Path) -> None:
    html = (root / "run" / "report.html").read_bytes()
    copy = tmp_path / "run"
    shutil.copytree(root / "run", copy)
    for path in [*copy.rglob("*.safetensors"), copy / "report.html"]:
        path.unlink()
    moved = [(root / name).rename(root / f"{name}-moved") for name in ("source", "target")]
    try:
        assert report(copy).read_bytes() == html
    finally:
        for path in moved:
            path.rename(root / path.name.removesuffix("-moved"))


@pytest.mark.parametrize("content", [None, b"torn"])
def test_pictures_that_are_gone_are_missed(root: Path, tmp_path: Path, content: bytes | None) -> None:
    copy = tmp_path / "run"
    shutil.copytree(root / "run", copy)
    (copy / "pictures.npz").unlink()
    if content is not None:
        (copy / "pictures.npz").write_bytes(content)
    html = report(copy).read_text(encoding="utf-8")
    assert "There are no pictures of the target: pictures.npz" in html
    assert str(tmp_path) not in html
    assert "Candidates of supervised" in html


def test_an_adaptation_that_has_not_ended_is_refused(root: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(root / "run", copy)
    (copy / "adaptation.json").unlink()
    with pytest.raises(BadInput, match="--resume"):
        report(copy)


def test_a_network_that_was_given_is_before(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "again"
    anyscope.adapt(root / "source", root / "target", out, method="none", init=root / "run")
    kept = AdaptationPictures.load(out / "pictures.npz")
    assert kept.before == "the network that was given (run), as it was"
    assert "matched" not in kept.levels
    html = (out / "report.html").read_text(encoding="utf-8")
    assert "nothing was learned" in html
    assert "--init run" in html


@pytest.mark.parametrize(
    ("method", "profile", "given"),
    [
        ("rescale+histogram", "fast", GIVEN),
        ("none", "paper", {}),
        ("y-net", "best", {"y-net": {"epochs": [1, 2, 3]}, "selection": "last", "object_px": 0}),
        (
            "none",
            "fast",
            {"train": {"task": "instances", "intensity": "fixed:0,255", "losses": {"mask": "dice"}, "seed": 4}},
        ),
        ("none", "fast", {"train": {"intensity": {"kind": "percentiles", "low": 1, "high": 99}}}),
    ],
)
def test_the_command_gives_the_same_settings(method: str, profile: str, given: dict) -> None:
    settings = adapt_settings(method, profile, **given)
    plain = {**settings.model_dump(mode="json"), "init": None}
    again = adapt_settings(method, profile, **parse_overrides(changes(plain)))
    assert again == settings


def test_the_command_names_everything(root: Path) -> None:
    settings = yaml.safe_load((root / "run" / "settings.yaml").read_text())
    settings |= {
        "source": "/x/a b", "target": "/y/t", "init": "/z/first", "target_labels": "/y/few", "target_part": "all",
        "read": [{"axes": "zyx", "voxel_size_nm": [50, 4.6, 4.6], "channel": 1}, {"voxel_size_nm": [5, 5]}],
    }  # fmt: skip
    first, second = commands("out", settings)
    assert first == (
        "anyscope adapt --source 'a b' --target t --out out --method rescale+histogram --profile fast --init first "
        "--target-labels few --target-part all --axes zyx --channel 1 --source-voxel-size 50,4.6,4.6 "
        "--target-voxel-size 5,5 --set train.patch_px=32 --set train.batch=2 --set train.epochs=2 "
        "--set train.steps_per_epoch=12 --set train.learning_rate=0.02 --set candidates=2 "
        "--set rescale.steps_per_octave=1"
    )
    assert second == "anyscope predict out t --out predictions"
