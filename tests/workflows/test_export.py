"""Exports: the same numbers elsewhere, described so that they can be used again."""

from __future__ import annotations

import json

import numpy as np
import pytest
import yaml

import anyscope
from anyscope import cli
from anyscope.errors import BadInput
from anyscope.images import open_labels, write_image
from anyscope.models import SegmenterSpec, build_segmenter, save_segmenter

FORMATS = ["onnx", "torchscript", "openvino"]
SPECS = {
    "mask": {"task": "semantic"},
    "objects": {"task": "instances", "heads": ("mask", "boundary", "distance"), "neighbours": 1},
    "classes": {"task": "semantic", "classes": 3, "channels": 2, "pixel_size_nm": 8.0, "input": {"zoom": 1.5}},
}


def save(folder, seed=0, **changes):
    plain = {"model": "unet_simple", "arguments": {"filters": [4, 8]}, **changes}
    save_segmenter(build_segmenter(SegmenterSpec.model_validate(plain), seed), folder / "segmenter")
    return folder


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    root = tmp_path_factory.mktemp("exports")
    made = {}
    for name, spec in SPECS.items():
        run = save(root / name, **spec)
        made[name] = run, {to: anyscope.export(run, to, root / f"{name}-{to}") for to in FORMATS}
    return made


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """A stack of two channels with a pixel size, of sizes that are no multiples of anything."""
    path = tmp_path_factory.mktemp("image") / "stack.ome.tif"
    random = np.random.default_rng(0)
    write_image(path, random.integers(0, 200, (2, 3, 47, 61), dtype=np.uint8), anyscope.geometry.VoxelSize(20, 8, 8))
    return path


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize("name", SPECS)
def test_what_is_exported_predicts_the_same(exports, image, tmp_path, name, to):
    run, made = exports[name]
    assert made[to].difference <= 1e-4
    from anyscope.images import ReadOptions

    read = ReadOptions(channel=None if name == "classes" else 0)
    given = {"read": read, "device": "cpu", "engine": None}
    anyscope.predict(run, image, tmp_path / "ours.tif", **{**given, "engine": "torch"})
    anyscope.predict(made[to].out, image, tmp_path / "theirs.tif", **given, trust=to == "torchscript")
    ours, theirs = (open_labels(tmp_path / f"{who}.tif").read() for who in ("ours", "theirs"))
    assert ours.shape == (1, 3, 47, 61)
    assert (ours != theirs).mean() < 0.002


def test_the_description_says_how_to_feed_it(exports):
    _, made = exports["objects"]
    document = yaml.safe_load(made["onnx"].description.read_text())
    assert document["heads"] == ["mask", "boundary", "distance"]
    assert (document["neighbours"], document["stride"], document["receptive_field"]) == (1, 2, 19)
    assert document["intensity"] == "percentiles:0.1,99.9"
    assert "float32 [batch, 3, y, x]" in made["onnx"].description.read_text()
    classes = yaml.safe_load(exports["classes"][1]["onnx"].description.read_text())
    assert (classes["pixel_size_nm"], classes["zoom"], classes["activation"]) == (8.0, 1.5, "softmax")


def test_a_network_that_depends_on_its_size_needs_one(tmp_path):
    run = save(tmp_path / "run", model="pspnet", arguments={}, task="semantic")
    with pytest.raises(BadInput, match=r"cannot be exported to onnx.*--size"):
        anyscope.export(run, "onnx", tmp_path / "free")
    assert not (tmp_path / "free").exists()
    result = anyscope.export(run, "onnx", tmp_path / "fixed", size=96)
    assert yaml.safe_load(result.description.read_text())["size"] == 96
    write_image(tmp_path / "a.tif", np.random.default_rng(0).random((1, 1, 130, 50), dtype=np.float32))
    out = anyscope.predict(tmp_path / "fixed", tmp_path / "a.tif", tmp_path / "b.tif", device="cpu").out
    assert open_labels(out).shape == (1, 1, 130, 50)


def test_an_export_is_not_replaced_unless_asked(exports, tmp_path):
    run, made = exports["mask"]
    with pytest.raises(BadInput, match="exists"):
        anyscope.export(run, "onnx", made["onnx"].out)
    with pytest.raises(BadInput, match="no export"):
        anyscope.export(run, "onnx", run, force=True)
    with pytest.raises(BadInput, match="onnxx"):
        anyscope.export(run, "onnxx", tmp_path / "out")


def test_the_verb(exports, tmp_path, capsys):
    run, _ = exports["mask"]
    assert cli.main(["export", str(run), "--to", "torchscript", "--out", str(tmp_path / "out"), "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["difference"] <= 1e-4
    assert "check: largest difference" in printed.err


def test_a_network_that_computes_something_else_is_refused(tmp_path, monkeypatch):
    import torch

    from anyscope.models import export as module

    run = save(tmp_path / "run", task="semantic")
    whole = module._running
    monkeypatch.setattr(module, "_running", lambda runtime: lambda x: whole(runtime)(x) * torch.tensor(1.001))
    with pytest.raises(BadInput, match="computes something else as onnx: difference 0.001"):
        anyscope.export(run, "onnx", tmp_path / "out")
    assert not (tmp_path / "out").exists()
