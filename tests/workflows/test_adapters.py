"""Low-rank adapters from the settings to predictions: they and the decoder learn, the encoder stays bit for bit."""

from __future__ import annotations

import pytest
import torch
from tests.workflows.conftest import tiny

import anyscope
from anyscope.errors import BadInput
from anyscope.images import read_labels
from anyscope.models import build_segmenter, is_adapter, load_segmenter
from anyscope.models.storage import read_safetensors
from anyscope.running.run_folder import RunFolder
from anyscope.training.pretraining import pretrain_settings

PLAIN = {"model": "sam_unet", "arguments": {"encoder": "samvit_nano"}}
ADAPTED = {"model": "sam_unet", "arguments": {"encoder": "samvit_nano", "lora_rank": 2}}
SHORT = {"patch_px": 32, "batch": 2, "epochs": 1, "steps_per_epoch": 3, "learning_rate": 0.02}


def lora(**changes):
    return tiny(**{**ADAPTED, **SHORT, "tune": "lora", **changes})


def pretraining(**changes):
    return pretrain_settings(**{**SHORT, "parameters": {"piece_px": 8}, **changes})


def weights(run):
    return load_segmenter(run, pretrained=True).state_dict()


def of_encoder(state):
    """The encoder's own weights, without adapters."""
    return {key: value for key, value in state.items() if key.startswith("net.encoder.") and not is_adapter(key)}


def same(one, other):
    assert one
    return all(torch.equal(value, other[key]) for key, value in one.items())


def all_moved(before, after):
    """Whether all adapters are others, and the decoder is."""
    adapters = [key for key in after if is_adapter(key)]
    assert len(adapters) == 4 * 8
    changed = [key for key in after if not torch.equal(after[key], before[key])]
    return set(adapters) <= set(changed) and any(key.startswith("net.decoder.") for key in changed)


@pytest.fixture(scope="module")
def run(tmp_path_factory, blobs):
    out = tmp_path_factory.mktemp("adapted") / "run"
    anyscope.train(blobs, out, settings=lora(epochs=2), device="cpu")
    return out


def test_adapters_learn_are_saved_loaded_and_predict(run, blobs, tmp_path):
    trained = load_segmenter(run)
    start = build_segmenter(trained.spec, lora().seed).state_dict()
    assert same(of_encoder(start), trained.state_dict())
    assert all_moved(start, trained.state_dict())
    predicted = anyscope.predict(run, blobs / "images" / "i0.tif", tmp_path / "adapted.png", device="cpu")
    assert read_labels(predicted.labels["i0"]).shape == (1, 48, 56)
    assert [record["epoch"] for record in RunFolder.of(run).records()] == [1, 2]


def test_what_cannot_be_tuned_is_refused_before_anything_is_written(blobs, tmp_path):
    for tune in ("full", "frozen"):
        with pytest.raises(BadInput, match=r"has low-rank adapters.*--set tune=lora or --set arguments\.lora_rank=0"):
            anyscope.train(blobs, tmp_path / "run", settings=lora(tune=tune), device="cpu")
    with pytest.raises(BadInput, match=r"has no low-rank adapters.*--set arguments\.lora_rank=4"):
        anyscope.train(blobs, tmp_path / "run", settings=lora(**PLAIN), device="cpu")
    with pytest.raises(BadInput, match="has low-rank adapters"):
        anyscope.adapt(blobs, blobs, tmp_path / "run", method="none", given={"train": {**ADAPTED, **SHORT}})
    assert not (tmp_path / "run").exists()


def test_adapters_begin_on_what_was_pre_trained(blobs, tmp_path):
    anyscope.pretrain(blobs, tmp_path / "pre", settings=pretraining(**PLAIN), device="cpu")
    network = load_segmenter(tmp_path / "pre", pretrained=True)
    before, start = network.state_dict(), build_segmenter(network.spec, pretraining().seed).state_dict()
    projections = [key for key in before if key.endswith("qkv.weight")]
    assert len(projections) == 8
    assert not any(torch.equal(before[key], start[key]) for key in projections)
    anyscope.train(blobs, tmp_path / "run", settings=lora(seed=5), init=tmp_path / "pre", device="cpu")
    after = weights(tmp_path / "run")
    assert same(of_encoder(before), after)
    assert all(after[key].any() for key in after if is_adapter(key))


def test_every_step_of_an_adaptation_leaves_the_encoder(run, blobs, tmp_path):
    """Of a segmenter with adapters, whose training is continued as it began."""
    count = {"epochs": 1, "steps_per_epoch": 2}
    given = {"pretrain": {**count, "keep_encoder": False}, "mean-teacher": {**count, "alignment": 0}}
    settings = {"candidates": 1, "object_px": 0, "train": SHORT}
    anyscope.adapt(
        blobs, blobs, tmp_path / "run", method="pretrain+mean-teacher", given={**given, **settings}, init=run
    )
    steps = tmp_path / "run" / "steps"
    found = [
        read_safetensors(steps / name)
        for name in (
            "1-pretrain/pretext.safetensors",
            "2-supervised/candidates/00001.safetensors",
            "3-mean-teacher/candidates/00001.safetensors",
        )
    ]
    before = weights(run)
    for after in found:
        assert same(of_encoder(before), after)
        assert all_moved(before, after)
        before = after
