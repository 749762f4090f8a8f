"""A training with auxiliary losses, from the settings to the saved weights."""

from __future__ import annotations

import torch
from tests.workflows.conftest import tiny

import anyscope
from anyscope.models import build_segmenter, load_segmenter


def test_auxiliary_heads_are_trained_and_saved(blobs, tmp_path):
    settings = tiny(model="icnet", arguments={"width": 0.1}, epochs=1, steps_per_epoch=2, ema=0)
    anyscope.train(blobs, tmp_path / "run", settings=settings, device="cpu")
    trained = load_segmenter(tmp_path / "run")
    start = dict(build_segmenter(trained.spec, settings.seed).named_parameters())
    assert start.keys() >= {"net.fuse_fine.guide.weight", "net.fuse_coarse.guide.weight"}
    assert [key for key, weight in trained.named_parameters() if torch.equal(weight, start[key])] == []
