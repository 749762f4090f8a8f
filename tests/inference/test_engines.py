"""Engines: the same numbers, and a choice that is kept."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

import anyscope
from anyscope.errors import BadInput, EnvironmentFault
from anyscope.geometry import Roi
from anyscope.images import open_image, open_labels, write_image
from anyscope.inference import InferenceSettings, predict_maps
from anyscope.inference.engines import ENGINES, build_engine, fastest, installed_engines, measure_engines
from anyscope.inference.footprint import forward_bytes
from anyscope.models import InputTransform, SegmenterSpec, build_segmenter, save_segmenter
from anyscope.workflows import engine as choosing

TINY = {"model": "unet_simple", "arguments": {"filters": (4, 8)}, "task": "semantic"}
OTHERS = [name for name in ENGINES if name != "torch"]


@pytest.fixture(scope="module")
def segmenter():
    """With everything that is done before the network: zoom, grey levels, neighbours; several heads after it."""
    spec = SegmenterSpec(
        **{**TINY, "task": "instances"}, heads=("mask", "distance"), neighbours=1, channels=2,
        input=InputTransform(zoom=1.3, levels=((0.0, 0.3, 1.0), (0.0, 0.6, 1.0))),
    )  # fmt: skip
    return build_segmenter(spec, 0).eval()


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("tile", [None, 32])
def test_engines_agree(segmenter, name, tile):
    image = np.random.default_rng(0).random((2, 3, 45, 59), dtype=np.float32)
    settings = InferenceSettings(tile=tile, device="cpu", augmentation="flips")
    expected = predict_maps(segmenter, image, None, settings)
    found = predict_maps(build_engine(segmenter, name), image, None, settings)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_an_engine_needs_as_much_memory_as_torch_at_least(segmenter):
    shape = (1, 6, 256, 256)
    assert forward_bytes(build_engine(segmenter, "onnxruntime"), shape) >= forward_bytes(segmenter, shape)


def test_times_are_taken_of_what_there_is(segmenter, monkeypatch):
    assert installed_engines()[0] == "torch"
    seconds = measure_engines(segmenter, (32, 32), list(ENGINES))
    assert set(seconds) == set(ENGINES)
    assert all(0 < time < 60 for time in seconds.values())
    monkeypatch.setattr("anyscope.inference.engines.find_spec", lambda name: None)
    assert installed_engines() == ["torch"]


def test_torch_stays_where_nothing_is_gained():
    assert fastest({"torch": 1.0, "onnxruntime": 0.95, "openvino": 0.93}) == "torch"
    assert fastest({"torch": 1.0, "onnxruntime": 0.5, "openvino": 0.6}) == "onnxruntime"


def test_wrong_engines(segmenter, monkeypatch):
    with pytest.raises(BadInput, match="no such name"):
        build_engine(segmenter, "tensorrt")
    monkeypatch.setattr("anyscope.models.runtimes.find_spec", lambda name: None)
    with pytest.raises(EnvironmentFault, match=r"not installed.*anyscope\[onnx\]"):
        build_engine(segmenter, "onnxruntime")


@pytest.fixture
def work(tmp_path):
    """A run and two images."""
    save_segmenter(build_segmenter(SegmenterSpec(**TINY), 0), tmp_path / "run")
    (tmp_path / "images").mkdir()
    for name in "ab":
        pixels = np.random.default_rng(ord(name)).random((1, 1, 40, 50), dtype=np.float32)
        write_image(tmp_path / "images" / f"{name}.tif", pixels)
    return tmp_path


@pytest.mark.parametrize("name", OTHERS)
def test_predict_with_an_engine(work, name, capsys):
    given = {"device": "cpu", "probabilities": True}
    anyscope.predict(work / "run", work / "images", work / "torch", engine="torch", **given)
    anyscope.predict(work / "run", work / "images", work / name, engine=name, **given)
    assert f"engine: {name}" in capsys.readouterr().err
    assert json.loads((work / name / "engine.json").read_text())["engine"] == name
    ours, theirs = (open_image(work / which / "probabilities" / "a.tif").read() for which in ("torch", name))
    np.testing.assert_allclose(theirs, ours, atol=1e-4)


def test_the_choice_is_made_once_and_kept(work, monkeypatch):
    """The measurement says OpenVINO; after that it is not asked again."""
    measured = []

    def measure(segmenter, shape, names):
        measured.append(names)
        return {"torch": 1.0, "onnxruntime": 0.8, "openvino": 0.5} if len(names) > 1 else {"torch": 1.0}

    monkeypatch.setattr(choosing, "measure_engines", measure)
    monkeypatch.setattr(choosing.with_engine, "__defaults__", (None, 0.0))
    anyscope.predict(work / "run", work / "images", work / "out", device="cpu")
    assert len(measured) == 2
    assert json.loads((work / "out" / "engine.json").read_text()) == {
        "engine": "openvino", "seconds": {"torch": 1.0, "onnxruntime": 0.8, "openvino": 0.5},
    }  # fmt: skip
    (work / "out" / "b.tif").unlink()
    (work / "out" / "finished.json").unlink()
    anyscope.predict(work / "run", work / "images", work / "out", device="cpu", resume=True)
    assert len(measured) == 2
    assert open_labels(work / "out" / "b.tif").shape == (1, 1, 40, 50)
    with pytest.raises(BadInput, match="began with openvino"):
        anyscope.predict(work / "run", work / "images", work / "out", device="cpu", engine="torch", resume=True)


def test_short_work_stays_with_torch(work, monkeypatch):
    def build(segmenter, name):
        assert name == "torch"
        return segmenter

    monkeypatch.setattr(choosing, "build_engine", build)
    anyscope.predict(work / "run", work / "images", work / "out", device="cpu")
    assert json.loads((work / "out" / "engine.json").read_text()) == {"engine": "torch", "seconds": {}}


def test_the_choice_does_not_depend_on_how_much_there_is(segmenter, monkeypatch):
    """Of a volume much larger than what predicting it may use only a tile is measured."""
    shapes = []

    def measure(segmenter, shape, names):
        shapes.append(shape)
        return dict.fromkeys(names, 1.0)

    monkeypatch.setattr(choosing, "measure_engines", measure)
    monkeypatch.setattr(choosing, "installed_engines", lambda: ["torch", "openvino"])
    volume = SimpleNamespace(roi=Roi((0, 0, 0), (4000, 9000, 300)), pixel_size_nm=None)
    inference = InferenceSettings(device="cpu", memory_bytes=1 << 20)
    assert choosing.choose_engine(segmenter, None, None, [volume], inference)[0] == "torch"
    assert shapes == [(512, 390), (512, 390)]  # at the zoom of the network
