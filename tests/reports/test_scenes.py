"""What an adaptation keeps for its page, written and read again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from anyscope.errors import BadInput
from anyscope.reports.scenes import AdaptationPictures, Scene, scene_item, unchanged

from .adaptations import scenes


@pytest.mark.parametrize("before", [True, False])
def test_kept_and_read(before: bool, tmp_path: Path) -> None:
    kept = scenes("a/b", before=before)
    kept.save(tmp_path / "pictures.npz")
    found = AdaptationPictures.load(tmp_path / "pictures.npz")
    assert (found.before, found.matched) == (kept.before, kept.matched)
    assert [scene.pixel_nm for scene in found.scenes] == [None, 5.0]
    for one, other in zip(kept.scenes, found.scenes, strict=True):
        assert one.name == other.name
        for name in ("image", "before", "after"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert list(found.levels) == ["source", "target", "matched"]
    np.testing.assert_allclose(found.levels["source"], kept.levels["source"], rtol=1e-6)
    assert AdaptationPictures().save(tmp_path / "none.npz") is None
    assert AdaptationPictures.load(tmp_path / "none.npz").scenes == ()


def test_many_labels_are_kept(tmp_path: Path) -> None:
    labels = np.arange(90_000).reshape(300, 300)
    scene = Scene("x", np.zeros((300, 300), np.uint8), None, labels)
    AdaptationPictures((scene,)).save(tmp_path / "p.npz")
    np.testing.assert_array_equal(AdaptationPictures.load(tmp_path / "p.npz").scenes[0].after, labels)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 torn"])
def test_damaged_files_are_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "p.npz").write_bytes(content)
    with pytest.raises(BadInput, match=r"p\.npz"):
        AdaptationPictures.load(tmp_path / "p.npz")


def test_views_and_words_of_a_scene() -> None:
    first, second = scenes().scenes
    item = scene_item(second, "semantic")
    assert [panel.caption for panel in item.panels] == ["Image", "Before", "After", "Change"]
    assert item.scale_bar is not None
    assert scene_item(first, "semantic").scale_bar is None
    # A square of 20 columns moved by 3: 17 of 23 are in both, and 200 of 2400 pixels are foreground.
    assert item.note == "foreground 8.3% before, 8.3% after, IoU of the two 0.74"
    assert not unchanged((first, second))
    assert unchanged(scenes(moved=0).scenes)
    assert not unchanged(scenes(before=False).scenes)


def test_objects_that_were_only_numbered_anew_have_not_changed() -> None:
    labels = np.zeros((20, 20), np.uint8)
    labels[:5], labels[10:15] = 1, 2
    scene = Scene("x", np.zeros((20, 20), np.uint8), labels, np.where(labels, 3 - labels, 0))
    as_objects, as_classes = (scene_item(scene, task).panels[-1].layers for task in ("instances", "semantic"))
    assert as_objects != as_classes
    same = Scene("x", scene.image, labels, labels)
    assert scene_item(same, "instances").panels[-1].layers == as_objects
