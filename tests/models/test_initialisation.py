from __future__ import annotations

import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from anyscope.errors import BadInput
from anyscope.models import build_segmenter, initialise, save_segmenter


@pytest.fixture
def source(spec_of):
    return build_segmenter(spec_of("unet_simple"), seed=1)


@pytest.fixture
def target(spec_of):
    return build_segmenter(spec_of("unet_simple"), seed=2)


def equal(first, second):
    other = second.state_dict()
    return all(torch.equal(tensor, other[key]) for key, tensor in first.state_dict().items())


@pytest.mark.parametrize(
    "form", ["segmenter", "run", "safetensors", "state_dict", "nested", "model_state_dict", "wrapped"]
)
def test_every_form_is_taken_over_whole(form, source, target, tmp_path):
    with torch.no_grad():
        source.mean.fill_(0.3)
    state = source.state_dict()
    path = tmp_path / {"safetensors": "w.safetensors", "segmenter": "s", "run": "run"}.get(form, "w.pt")
    if form == "segmenter":
        save_segmenter(source, path)
    elif form == "run":
        save_segmenter(source, path / "segmenter")
    elif form == "safetensors":
        save_file(state, path)
    elif form == "nested":
        torch.save({"epoch": 3, "state_dict": state}, path)
    elif form == "wrapped":
        torch.save({"model": {f"module._orig_mod.{key}": tensor for key, tensor in state.items()}}, path)
    elif form == "model_state_dict":
        torch.save({"model_state_dict": state, "loss": 0.1}, path)
    else:
        torch.save(state, path)
    report = initialise(target, path)
    assert equal(source, target)
    assert set(report.loaded) == set(state)
    assert report.missing == report.unexpected == report.other_shape == ()
    assert path.name in target.spec.weights
    assert "random, seed 2" in target.spec.weights


def test_state_dict_of_a_bare_network_leaves_the_normalisation(source, target, tmp_path):
    torch.save(nn.DataParallel(source.net).state_dict(), tmp_path / "w.pth")
    report = initialise(target, tmp_path / "w.pth")
    assert equal(source.net, target.net)
    assert set(report.missing) == {"mean", "std"}


def test_every_key_is_reported(source, spec_of, tmp_path):
    state = source.state_dict()
    state["stranger"] = torch.ones(2)
    del state["net.down.0.0.weight"]
    torch.save(state, tmp_path / "w.pt")
    target = build_segmenter(spec_of("unet_simple", heads=("mask", "boundary")), seed=2)
    before = {key: tensor.clone() for key, tensor in target.state_dict().items()}
    report = initialise(target, tmp_path / "w.pt")
    after = target.state_dict()
    assert report.missing == ("net.down.0.0.weight",)
    assert report.unexpected == ("stranger",)
    assert report.other_shape == (
        ("net.head.weight", (1, 16, 1, 1), (2, 16, 1, 1)),
        ("net.head.bias", (1,), (2,)),
    )
    assert len(report.loaded) == len(before) - 3
    for key in before:
        assert torch.equal(after[key], state[key] if key in report.loaded else before[key])
    lines = report.describe()
    assert f"{len(before) - 3} of {len(before)} tensors loaded, 1 missing, 1 unexpected, 2 of other shape" in lines[0]
    assert len(lines) == 5
    for key in ("net.down.0.0.weight", "stranger", "net.head.weight", "net.head.bias"):
        assert sum(key in line for line in lines) == 1


def test_nothing_that_fits_is_refused_and_changes_nothing(target, spec_of, tmp_path):
    save_segmenter(build_segmenter(spec_of("unet_simple", arguments={"filters": (5, 6)}), seed=1), tmp_path / "other")
    before = {key: tensor.clone() for key, tensor in target.state_dict().items()}
    spec = target.spec
    with pytest.raises(BadInput, match=r"none of its \d+ tensors fits model 'unet_simple'"):
        initialise(target, tmp_path / "other")
    assert all(torch.equal(tensor, before[key]) for key, tensor in target.state_dict().items())
    assert target.spec == spec


class Payload:
    def __reduce__(self):
        return print, ("code was run",)


@pytest.mark.parametrize(
    ("name", "write", "words"),
    [
        ("w.pt", lambda p: torch.save(nn.Conv2d(1, 1, 1), p), "Python objects"),
        ("w.pt", lambda p: torch.save({"state_dict": Payload()}, p), "Python objects"),
        ("w.pth", lambda p: p.write_bytes(pickle.dumps(Payload())), "undamaged"),
        ("w.pt", lambda p: p.write_bytes(b""), "undamaged"),
        ("w.pt", lambda p: p.write_bytes(b"not a checkpoint"), "undamaged"),
        ("w.pt", lambda p: p.write_bytes(b"PK\x03\x04" + b"\x00" * 64), "undamaged"),
        ("w.pt", lambda p: torch.save([1, 2], p), "holds list"),
        ("w.pt", lambda p: torch.save({"epoch": 3}, p), "holds epoch"),
        ("w.pt", lambda p: torch.save({}, p), "holds nothing"),
        ("w.safetensors", lambda p: p.write_bytes(b"\x00" * 16), "safetensors"),
        ("w.onnx", lambda p: p.write_bytes(b"x"), "suffix '.onnx'"),
        ("w.pt", lambda p: None, "does not exist"),
        ("w", lambda p: p.mkdir(), "missing"),
    ],
)
def test_files_that_hold_no_weights(name, write, words, target, tmp_path, capsys):
    write(tmp_path / name)
    with pytest.raises(BadInput, match=words) as caught:
        initialise(target, tmp_path / name)
    assert "\n" not in str(caught.value)
    assert "code was run" not in capsys.readouterr().out


def test_what_was_pre_trained_says_on_what(spec_of, target, tmp_path):
    """Weights of a pretext with another number of outputs: all but the last layer are taken over."""
    spec = spec_of(
        "unet_simple", channels=1, pretext="masked", weights="unet_simple, pre-trained on em (masked, 9 steps)"
    )
    source = build_segmenter(spec, seed=1)
    source.spec = spec
    save_segmenter(source, tmp_path / "pre" / "segmenter")
    report = initialise(target, tmp_path / "pre")
    assert equal(source, target)
    assert (
        "tensors from pre (unet_simple, pre-trained on em (masked, 9 steps)), before that random" in target.spec.weights
    )
    assert target.spec.pretext is None
    several = build_segmenter(spec_of("unet_simple", heads=("mask", "boundary", "distance")), seed=2)
    report = initialise(several, tmp_path / "pre")
    assert [name for name, _, _ in report.other_shape] == ["net.head.weight", "net.head.bias"]
    assert len(report.loaded) == len(several.state_dict()) - 2
