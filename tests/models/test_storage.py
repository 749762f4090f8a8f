from __future__ import annotations

import hashlib
import os

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from anyscope.errors import BadInput, EnvironmentFault
from anyscope.models import MODELS, DecoderSpec, Segmenter, build_segmenter, load_segmenter, save_segmenter
from anyscope.models.storage import SPEC_FILE, WEIGHTS_FILE, read_spec
from anyscope.running.documents import dump_document, read_document


@pytest.mark.parametrize("name", list(MODELS))
def test_a_loaded_segmenter_is_the_saved_one_to_the_bit(name, shared, tmp_path):
    saved = shared(name)
    save_segmenter(saved, tmp_path / "segmenter")
    state = torch.random.get_rng_state()
    loaded = load_segmenter(tmp_path / "segmenter")
    assert torch.equal(state, torch.random.get_rng_state())
    assert isinstance(loaded, Segmenter)
    assert not loaded.training
    assert loaded.spec == saved.spec
    assert loaded.state_dict().keys() == saved.state_dict().keys()
    x = torch.rand(1, 1, 64, 64)
    with torch.no_grad():
        assert torch.equal(loaded(x), saved.eval()(x))


def test_the_whole_spec_and_the_normalisation_are_kept(spec_of, tmp_path):
    spec = spec_of(
        "unet_simple",
        heads=("mask", "distance"),
        task="instances",
        pixel_size_nm=4.6,
        decoder=DecoderSpec(name="watershed", parameters={"threshold": 0.4}),
        provenance={"who": "µ 試\x85", "scores": [0.1, 1e-30]},
    )
    built = build_segmenter(spec, seed=0)
    saved = Segmenter(built.spec, built.net, mean=[0.1], std=[0.7])
    save_segmenter(saved, tmp_path / "s")
    loaded = load_segmenter(tmp_path / "s")
    assert loaded.spec == saved.spec
    assert (loaded.mean.item(), loaded.std.item()) == pytest.approx((0.1, 0.7))


text = st.text(max_size=8)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None, max_examples=60)
@given(document=st.dictionaries(text, plain, max_size=4))
def test_plain_data_survives_yaml(document, tmp_path_factory):
    path = tmp_path_factory.mktemp("yaml") / "file.yaml"
    path.write_text(dump_document(document), encoding="utf-8")
    assert read_document(path, "a spec") == document


def test_a_run_folder_holds_its_segmenter(shared, tmp_path):
    save_segmenter(shared("unet_simple"), tmp_path / "run" / "segmenter")
    assert load_segmenter(tmp_path / "run").spec == shared("unet_simple").spec


def test_the_same_segmenter_gives_the_same_bytes(shared, tmp_path):
    for name in ("a", "b"):
        save_segmenter(shared("unet_simple"), tmp_path / name)
    for file in (SPEC_FILE, WEIGHTS_FILE):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_an_existing_folder_is_replaced_only_when_asked(spec_of, tmp_path):
    first, second = (build_segmenter(spec_of("unet_simple"), seed) for seed in (1, 2))
    save_segmenter(first, tmp_path / "s")
    with pytest.raises(BadInput, match="exists already"):
        save_segmenter(second, tmp_path / "s")
    assert load_segmenter(tmp_path / "s").spec.weights == "random, seed 1"
    save_segmenter(second, tmp_path / "s", replace=True)
    assert load_segmenter(tmp_path / "s").spec.weights == "random, seed 2"
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_a_save_that_fails_leaves_nothing(shared, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("anyscope.models.storage.save_file", full)
    with pytest.raises(EnvironmentFault, match="disk is full"):
        save_segmenter(shared("unet_simple"), tmp_path / "s")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def folder(shared, tmp_path):
    """A saved segmenter that a test may damage."""
    save_segmenter(shared("unet_simple"), tmp_path / "s")
    return tmp_path / "s"


def edit(folder, **changes):
    """Change keys of the spec; None removes one."""
    document = {**yaml.safe_load((folder / SPEC_FILE).read_text()), **changes}
    document = {key: value for key, value in document.items() if value is not None}
    (folder / SPEC_FILE).write_text(yaml.safe_dump(document))


def sign(folder):
    """Make the checksum in the spec that of the weights, as a careful forger would."""
    edit(folder, weights_sha256=hashlib.sha256((folder / WEIGHTS_FILE).read_bytes()).hexdigest())


def flip(folder):
    raw = bytearray((folder / WEIGHTS_FILE).read_bytes())
    raw[-1] ^= 1
    (folder / WEIGHTS_FILE).write_bytes(raw)


def rewrite(folder, change):
    state = load_file(folder / WEIGHTS_FILE)
    change(state)
    save_file(state, folder / WEIGHTS_FILE)
    sign(folder)


def truncate(folder):
    (folder / WEIGHTS_FILE).write_bytes((folder / WEIGHTS_FILE).read_bytes()[:1000])
    sign(folder)


def not_tensors(folder):
    (folder / WEIGHTS_FILE).write_bytes(b"\xff" * 64)
    sign(folder)


TAMPERINGS = {
    "no spec": (lambda f: (f / SPEC_FILE).unlink(), f"{SPEC_FILE} is missing"),
    "no weights": (lambda f: (f / WEIGHTS_FILE).unlink(), f"no {WEIGHTS_FILE}"),
    "one bit of the weights": (flip, "was changed after it was written"),
    "no checksum": (lambda f: edit(f, weights_sha256=None), "weights_sha256"),
    "checksum is a number": (lambda f: edit(f, weights_sha256=3), "weights_sha256"),
    "empty spec": (lambda f: (f / SPEC_FILE).write_text(""), "not a mapping"),
    "spec is a list": (lambda f: (f / SPEC_FILE).write_text("- 1\n"), "not a mapping"),
    "spec is not YAML": (lambda f: (f / SPEC_FILE).write_text("a: [1"), "is not YAML"),
    "spec is not text": (lambda f: (f / SPEC_FILE).write_bytes(b"\xff\xfe\x00\x80"), "not text"),
    "spec makes objects": (
        lambda f: (f / SPEC_FILE).write_text("a: !!python/object:os.x []"),
        "is not YAML",
    ),
    "spec has aliases": (lambda f: (f / SPEC_FILE).write_text("a: &a [1]\nb: [*a, *a]"), "aliases"),
    "spec is nested deeply": (lambda f: (f / SPEC_FILE).write_text("[" * 20000), "nested too deeply"),
    "spec is huge": (lambda f: (f / SPEC_FILE).write_bytes(b"a" * (2**20 + 1)), "bytes"),
    "newer version": (lambda f: edit(f, version=2), "newer anyscope: version 2 > 1"),
    "unknown key": (lambda f: edit(f, colour="red"), "'colour'"),
    "unknown model": (lambda f: edit(f, model="alexnet"), "alexnet"),
    "other model": (lambda f: edit(f, model="unet_small"), "missing"),
    "other filters": (lambda f: edit(f, arguments={"filters": [16, 32, 65]}), "65"),
    "absurd filters": (lambda f: edit(f, arguments={"filters": [10**9] * 5}), "filters"),
    "unknown argument": (lambda f: edit(f, arguments={"depth": 3}), "depth"),
    "other classes": (lambda f: edit(f, classes=9), "head"),
    "tensor missing": (lambda f: rewrite(f, lambda s: s.pop("net.head.bias")), "'net.head.bias' is missing"),
    "tensor too many": (lambda f: rewrite(f, lambda s: s.update(extra=torch.ones(1))), "'extra' is unexpected"),
    "tensor of other shape": (lambda f: rewrite(f, lambda s: s.update({"net.head.bias": torch.ones(7)})), "float32 7"),
    "tensor of other type": (
        lambda f: rewrite(f, lambda s: s.update({"net.head.bias": torch.ones(3).half()})),
        "float16 3",
    ),
    "weights cut short": (truncate, "safetensors"),
    "weights are no tensors": (not_tensors, "safetensors"),
}


@pytest.mark.parametrize("name", list(TAMPERINGS))
def test_tampered_folders_are_refused_in_one_line(name, folder):
    tamper, words = TAMPERINGS[name]
    tamper(folder)
    with pytest.raises(BadInput) as caught:
        load_segmenter(folder)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_paths_that_hold_no_segmenter(tmp_path):
    with pytest.raises(BadInput, match="does not exist"):
        load_segmenter(tmp_path / "nowhere")
    with pytest.raises(BadInput, match="missing"):
        load_segmenter(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="not a folder"):
        load_segmenter(tmp_path / "file")


def test_what_was_only_pre_trained_is_loaded_where_it_is_asked_for(spec_of, tmp_path):
    spec = spec_of("unet_simple", channels=3, neighbours=1, pretext="masked")
    saved = build_segmenter(spec, 0)
    assert saved.spec.out_channels == spec.in_channels == 9
    save_segmenter(saved, tmp_path / "pre")
    for read in (load_segmenter, read_spec):
        with pytest.raises(BadInput, match=r"only pre-trained \(masked\).*train --init"):
            read(tmp_path / "pre")
    assert read_spec(tmp_path / "pre", pretrained=True) == saved.spec
    loaded = load_segmenter(tmp_path / "pre", pretrained=True)
    assert loaded(torch.rand(1, 9, 16, 16)).shape == (1, 9, 16, 16)
