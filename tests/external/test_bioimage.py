"""Packages of the BioImage Model Zoo, in both formats, against processing done by hand."""

from __future__ import annotations

import hashlib
import json
import shutil
import warnings

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from anyscope.errors import BadInput
from anyscope.external import open_foreign
from anyscope.external.processing import steps_of

IMAGE = torch.rand((2, 1, 32, 48), generator=torch.Generator().manual_seed(3))


class Doubled(torch.nn.Module):
    """Logits 2 x - 0.5 of what it is shown."""

    def forward(self, x):
        return 2 * x - 0.5


def package(folder, form, *, before=(), after=(), weights=None, **changes):
    """A package with the network of :class:`Doubled`."""
    folder.mkdir(exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(Doubled(), torch.zeros(1, 1, 16, 16)).save(str(folder / "weights.pt"))
    digest = hashlib.sha256((folder / "weights.pt").read_bytes()).hexdigest()
    weights = weights if weights is not None else {"torchscript": {"source": "weights.pt", "sha256": digest}}
    if form == "0.4":
        steps = [[{"name": name, "kwargs": kwargs} for name, kwargs in listed] for listed in (before, after)]
        sizes = {"min": [1, 1, 16, 16], "step": [0, 0, 16, 16]}
        inputs = {"name": "raw", "axes": "bcyx", "shape": sizes, "preprocessing": steps[0]}
        outputs = {"name": "mask", "axes": "bcyx", "shape": {"reference_tensor": "raw"}, "postprocessing": steps[1]}
    else:
        steps = [[{"id": name, "kwargs": kwargs} for name, kwargs in listed] for listed in (before, after)]
        space = [{"type": "space", "id": name, "size": {"min": 16, "step": 16}} for name in "yx"]
        axes = [{"type": "batch"}, {"type": "channel", "channel_names": ["raw"]}, *space]
        inputs = {"id": "raw", "axes": axes, "preprocessing": steps[0]}
        named = [{"type": "batch"}, {"type": "channel", "channel_names": ["foreground"]}, *space]
        outputs = {"id": "mask", "axes": named, "postprocessing": steps[1]}
    document = {"format_version": f"{form}.0", "type": "model", "name": "Doubled", "inputs": [inputs]}
    document |= {"outputs": [outputs], "weights": weights, **changes}
    (folder / "rdf.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(document))))  # without YAML aliases
    return folder


@pytest.mark.parametrize("form", ["0.4", "0.5"])
def test_a_package_from_image_to_logits(tmp_path, form):
    """Standardised per image, then 2 x - 0.5, then a sigmoid and a threshold of 0.6."""
    before = [
        ("zero_mean_unit_variance", {"mode": "per_sample", "axes": "xy"} if form == "0.4" else {"axes": ["x", "y"]})
    ]
    folder = package(tmp_path / "p", form, before=before, after=[("sigmoid", {}), ("binarize", {"threshold": 0.6})])
    network = open_foreign(folder, trust=True)
    assert (network.stride, network.differentiable, network.receptive_field()) == (16, True, None)
    plain = IMAGE.numpy()
    standard = (plain - plain.mean((2, 3), keepdims=True)) / (plain.std((2, 3), keepdims=True) + 1e-6)
    np.testing.assert_allclose(network(IMAGE).numpy(), 2 * standard - 0.5, atol=2e-4)
    assert network.spec.decoder.parameters == {"threshold": 0.6}
    image = IMAGE.clone().requires_grad_()
    network(image).sum().backward()
    assert torch.isfinite(image.grad).all()


def test_a_threshold_of_logits_is_one_of_probabilities(tmp_path):
    network = open_foreign(package(tmp_path / "p", "0.4", after=[("binarize", {"threshold": 1.0})]), trust=True)
    assert network.spec.decoder.parameters["threshold"] == pytest.approx(1 / (1 + np.exp(-1)))


def test_steps_by_hand():
    plain = IMAGE.numpy()

    def run(name, **kwargs):
        (step,) = steps_of([{"name": name, "kwargs": kwargs}], "bcyx", "package")
        return step.apply(IMAGE).numpy()

    np.testing.assert_allclose(run("scale_linear", gain=[3.0], offset=-1.0), 3 * plain - 1, rtol=1e-5, atol=1e-6)
    low, high = (np.percentile(plain, at, axis=(1, 2, 3), keepdims=True) for at in (1, 99.8))
    found = run("scale_range", min_percentile=1, max_percentile=99.8, mode="per_sample")
    np.testing.assert_allclose(found, (plain - low) / (high - low + 1e-6), atol=1e-5)
    np.testing.assert_allclose(run("clip", min=0.2, max=0.4), plain.clip(0.2, 0.4))
    np.testing.assert_allclose(run("sigmoid"), 1 / (1 + np.exp(-plain)), rtol=1e-5)
    np.testing.assert_allclose(run("softmax", axis="channel"), np.ones_like(plain))
    fixed = run("fixed_zero_mean_unit_variance", mean=0.5, std=0.25)
    np.testing.assert_allclose(fixed, (plain - 0.5) / (0.25 + 1e-6), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(run("zero_mean_unit_variance", mode="fixed", mean=0.5, std=0.25), fixed)


@given(st.floats(0, 40), st.floats(50, 100), st.floats(-3, 3), st.floats(0.5, 20))
def test_the_range_of_an_image_does_not_matter_to_what_normalises(low, high, offset, gain):
    """What a network gets is the same whatever 0..1 stood for: the intensity convention does no harm."""
    kwargs = {"min_percentile": low, "max_percentile": high, "eps": 1e-9}
    (step,) = steps_of([{"name": "scale_range", "kwargs": kwargs}], "bcyx", "package")
    wide = step.apply(gain * IMAGE.double() + offset)
    torch.testing.assert_close(wide, step.apply(IMAGE.double()), atol=1e-5, rtol=1e-5)


STATE = {"pytorch_state_dict": {"source": "weights.pt", "sha256": "0" * 64, "architecture": "model.py:Net"}}
WRONG = [
    ({"weights": STATE}, "pytorch_state_dict needs its source code to be run"),
    ({"weights": {"torchscript": {"source": "../weights.pt", "sha256": "0" * 64}}}, "leads out of its folder"),
    ({"weights": {"torchscript": {"source": "weights.pt", "sha256": "0" * 64}}}, "SHA-256"),
    ({"weights": {"torchscript": {"source": "weights.pt"}}}, "no sha256"),
    ({"weights": {"onnx": {"source": "https://somewhere/weights.onnx", "sha256": "0" * 64}}}, "there is no 'https"),
    ({"weights": {}}, "lists no weights"),
    ({"inputs": []}, "0 inputs"),
    ({"inputs": [{"axes": "bczyx", "shape": [1, 1, 8, 8, 8]}]}, "axes bczyx in"),
    ({"before": [("equalise", {})]}, "'equalise', which is not known"),
    ({"before": [("zero_mean_unit_variance", {"mode": "per_dataset"})]}, "statistics of a whole dataset"),
    ({"before": [("scale_range", {"min_percentile": 90, "max_percentile": 10})]}, "percentiles 90 and 10"),
    ({"before": [("scale_linear", {"gain": "much"})]}, "step 'scale_linear': ValueError"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "words"), WRONG)
def test_one_clear_line(tmp_path, changes, words):
    with pytest.raises(BadInput, match=words):
        open_foreign(package(tmp_path / "p", "0.4", **changes), trust=True)


def test_torchscript_in_a_package_needs_trust(tmp_path):
    with pytest.raises(BadInput, match="--trust"):
        open_foreign(package(tmp_path / "p", "0.5"))


def test_onnx_in_a_package_needs_none(tmp_path, exported):
    shutil.copytree(exported["onnx"], tmp_path / "p")
    (tmp_path / "p" / "anyscope-model.yaml").unlink()
    digest = hashlib.sha256((tmp_path / "p" / "model.onnx").read_bytes()).hexdigest()
    weights = {"onnx": {"source": "model.onnx", "sha256": digest}, **STATE}
    network = open_foreign(package(tmp_path / "p", "0.5", weights=weights))
    assert not network.differentiable
    expected = open_foreign(exported["onnx"])(IMAGE)
    torch.testing.assert_close(network(IMAGE), expected)


def test_a_description_says_what_a_package_leaves_open(tmp_path):
    """Beside the package, or in it: what is said there goes before what the package says."""
    folder = package(tmp_path / "p", "0.4", after=[("sigmoid", {})])
    said = {"kind": "bioimage", "path": "p", "pixel_size_nm": 65.0, "intensity": "fixed:0,255", "value_range": [0, 255]}
    (tmp_path / "anyscope-model.yaml").write_text(yaml.safe_dump(said))
    network = open_foreign(tmp_path, trust=True)
    assert network.spec.pixel_size_nm == 65.0
    torch.testing.assert_close(network(IMAGE / 255), 2 * IMAGE - 0.5, atol=1e-3, rtol=1e-3)
    assert open_foreign(folder, trust=True).spec.pixel_size_nm is None
