"""What a painter learns from, that it learns, that a killed training ends as one that was not, and its folder."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from anyscope.errors import BadInput
from anyscope.images import write_labels
from anyscope.running.run_folder import RunFolder
from anyscope.synthesis.course import PainterCourse
from anyscope.synthesis.learning import PainterPatches, learn_painter, new_generator
from anyscope.synthesis.settings import PainterSettings
from anyscope.synthesis.store import LEVELS_FILE, PAINTER_FILE, find_painter, load_painter, save_painter

TINY = PainterSettings(
    patch_px=32, batch=2, epochs=4, steps_per_epoch=3, filters=4, blocks=1, discriminator_filters=4, seed=3
)


def run_of(path):
    path.mkdir()
    return RunFolder(path)


def test_patches_are_numbered(pairs):
    patches = PainterPatches(pairs, TINY, "cpu")
    maps, images = patches(5)
    assert maps.shape == (2, 3, 32, 32)
    assert images.shape == (2, 1, 32, 32)
    assert all(torch.equal(one, other) for one, other in zip(patches(5), (maps, images), strict=True))
    assert not torch.equal(patches(6)[1], images)


def test_maps_and_images_are_turned_together(pairs):
    maps, images = PainterPatches(pairs, TINY, "cpu")(0)
    for level, image in zip(maps[:, 1], images[:, 0], strict=True):
        correlation = np.corrcoef(level.numpy().ravel(), image.numpy().ravel())[0, 1]
        assert correlation > 0.9


def test_images_smaller_than_a_patch_are_mirrored_on(pairs):
    small = [(type(scene)(scene.labels[:24, :20], scene.levels, scene.background), image[:24, :20])
             for scene, image in pairs]  # fmt: skip
    maps, images = PainterPatches(small, TINY, "cpu")(0)
    assert maps.shape[-2:] == images.shape[-2:] == (32, 32)


def test_it_learns_what_images_look_like(pairs, tmp_path):
    settings = TINY.model_copy(update={"epochs": 5, "steps_per_epoch": 20, "filters": 8, "learning_rate": 2e-3})
    patches = PainterPatches(pairs, settings, "cpu")
    maps, images = patches(10**6)
    before = (new_generator(settings)(maps) - images).abs().mean()
    network = learn_painter(pairs, settings, run_of(tmp_path / "run")).eval()
    after = (network(maps) - images).abs().mean()
    assert after < 0.3 * before


def test_killed_and_resumed_is_never_killed(pairs, tmp_path, monkeypatch):
    whole = learn_painter(pairs, TINY, run_of(tmp_path / "whole")).state_dict()
    step = PainterCourse.step

    def dying(self, number):
        if number == 7:
            raise KeyboardInterrupt
        return step(self, number)

    run = run_of(tmp_path / "killed")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(PainterCourse, "step", dying)
        learn_painter(pairs, TINY, run)
    again = learn_painter(pairs, TINY, run).state_dict()
    assert all(torch.equal(whole[key], again[key]) for key in whole)


def test_a_painter_is_a_folder(scenes, tmp_path):
    network = new_generator(TINY)
    save_painter(tmp_path / "run" / "painter", network, tuple(scenes), TINY, dataset="d", pixel_size_nm=100.0)
    assert find_painter(tmp_path / "run") == tmp_path / "run" / "painter"
    assert find_painter(tmp_path) is None
    stored = load_painter(tmp_path / "run")
    assert stored.pixel_size_nm == 100
    assert stored.painter.describe() == {"by": "learned", "dataset": "d", "steps": 12}
    for one, other in zip(stored.scenes, scenes, strict=True):
        assert np.array_equal(one.labels, other.labels)
        assert np.array_equal(one.levels, other.levels)
        assert one.background == pytest.approx(other.background)
    maps = torch.rand(1, 3, 32, 32)
    assert torch.equal(stored.painter.generator.eval()(maps), network.eval()(maps))


def test_a_damaged_painter_is_refused(scenes, tmp_path):
    with pytest.raises(BadInput, match=PAINTER_FILE):
        load_painter(tmp_path)
    folder = tmp_path / "painter"
    save_painter(folder, new_generator(TINY), tuple(scenes), TINY, dataset="d", pixel_size_nm=None)
    text = (folder / PAINTER_FILE).read_text()
    levels = (folder / LEVELS_FILE).read_bytes()
    for changed, words in (("filters: 4", "do not fit"), ("scenes: 6", r"0006\.tif: no such file")):
        (folder / PAINTER_FILE).write_text(text.replace(changed, f"{changed[:-1]}{int(changed[-1]) + 2}"))
        with pytest.raises(BadInput, match=words):
            load_painter(folder)
    (folder / PAINTER_FILE).write_text(text + "code: 1\n")
    with pytest.raises(BadInput, match="code"):
        load_painter(folder)
    (folder / PAINTER_FILE).write_text(text)
    write_labels(folder / "scenes" / "0001.tif", (scenes[1].labels == 1)[None].astype(np.uint8), None)
    with pytest.raises(BadInput, match=r"0001\.tif: 1 objects"):
        load_painter(folder)
    (folder / LEVELS_FILE).write_bytes(levels[:40])
    with pytest.raises(BadInput, match="safetensors"):
        load_painter(folder)
