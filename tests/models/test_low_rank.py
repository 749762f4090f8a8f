from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from anyscope.models import build_segmenter, initialise, save_segmenter
from anyscope.models.nets.low_rank import ADAPTERS, AdaptedProjection, has_adapters, is_adapter, merge_adapters


@given(channels=st.integers(1, 9), rank=st.integers(1, 5), bias=st.booleans(), seed=st.integers(0, 99))
@settings(max_examples=15, deadline=None)
def test_merged_weights_give_what_the_adapters_give(channels, rank, bias, seed):
    torch.manual_seed(seed)
    plain = nn.Linear(channels, 3 * channels, bias=bias)
    before = plain(x := torch.randn(4, channels))
    adapted = AdaptedProjection(plain, rank)
    assert torch.allclose(adapted(x), before, atol=1e-6)
    with torch.no_grad():
        for name in ADAPTERS:
            getattr(adapted, name).normal_()
    merged = nn.Linear(channels, 3 * channels, bias=bias)
    merged.load_state_dict(merge_adapters(adapted.state_dict()))
    assert torch.allclose(merged(x), adapted(x), atol=1e-5 * rank)
    key = slice(channels, 2 * channels)
    assert torch.equal(merged.weight[key], plain.weight[key])  # keys are not adapted


def test_by_hand():
    adapted = AdaptedProjection(nn.Linear(2, 6, bias=False), 1)
    with torch.no_grad():
        adapted.weight.zero_()
        adapted.query_down.copy_(torch.tensor([[1.0, 2.0]]))
        adapted.query_up.copy_(torch.tensor([[3.0], [4.0]]))
        adapted.value_down.copy_(torch.tensor([[0.0, 1.0]]))
        adapted.value_up.copy_(torch.tensor([[0.0], [5.0]]))
    assert adapted(torch.tensor([1.0, 10.0])).tolist() == [63, 84, 0, 0, 0, 50]


def test_what_is_no_projection_is_refused():
    with pytest.raises(ValueError, match="no query, key and value"):
        AdaptedProjection(nn.Linear(4, 8), 1)


@pytest.fixture(scope="module")
def adapted(spec_of):
    return build_segmenter(spec_of("sam_unet", arguments={"encoder": "samvit_nano", "lora_rank": 4}), 0)


def test_a_network_starts_as_one_without_adapters(adapted, spec_of):
    plain = build_segmenter(spec_of("sam_unet"), 0).eval()
    same = plain.load_state_dict(adapted.state_dict(), strict=False)
    assert same.missing_keys == []
    assert same.unexpected_keys
    assert all(is_adapter(key) for key in same.unexpected_keys)
    images = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        assert torch.allclose(adapted.eval()(images), plain(images), atol=1e-5)


def test_the_network_freezes_nothing_and_every_adapter_has_an_effect(spec_of):
    """What learns is up to training; in the first step the factors beside zeros have no gradient."""
    segmenter = build_segmenter(spec_of("sam_unet", arguments={"encoder": "samvit_nano", "lora_rank": 2}), 0).train()
    parameters = dict(segmenter.named_parameters())
    assert all(each.requires_grad for each in parameters.values())
    adapters = {key for key in parameters if is_adapter(key)}
    assert len(adapters) == 4 * 8
    segmenter(torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(0))).square().mean().backward()
    assert {key for key in adapters if parameters[key].grad.any()} == {key for key in adapters if key.endswith("_up")}
    assert all(parameters[key].grad.any() for key in parameters if key.endswith("qkv.weight"))


def test_names_of_adapters(adapted, spec_of):
    """They are all that a network with adapters has beside the tensors of one without."""
    added = adapted.state_dict().keys() - build_segmenter(spec_of("sam_unet"), 0).state_dict().keys()
    assert added == {key for key in adapted.state_dict() if is_adapter(key)}
    assert has_adapters(added)
    assert not any(is_adapter(name) for name in ("query_up.weight", "x.my_query_up", "query_upper", ""))


def test_a_run_with_adapters_starts_one_without(adapted, spec_of, tmp_path):
    """The adapters are merged: the network goes on from what it had learned, not from before."""
    with torch.no_grad():
        for key, weight in adapted.named_parameters():
            if is_adapter(key):
                weight.normal_(0, 0.1, generator=torch.Generator().manual_seed(len(key)))
    save_segmenter(adapted, tmp_path / "adapted")
    plain = build_segmenter(spec_of("sam_unet"), 5)
    report = initialise(plain, tmp_path / "adapted")
    assert report.missing == report.unexpected == ()
    assert not has_adapters(plain.state_dict())
    images = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        found, expected = plain.eval()(images), adapted.eval()(images)
    assert torch.allclose(found, expected, atol=1e-5)


def test_adapters_go_on_as_they_are_and_begin_on_a_run_without(adapted, spec_of, tmp_path):
    arguments = {"encoder": "samvit_nano", "lora_rank": 4}
    save_segmenter(adapted, tmp_path / "adapted")
    again = build_segmenter(spec_of("sam_unet", arguments=arguments), 1)
    assert initialise(again, tmp_path / "adapted").missing == ()
    assert all(torch.equal(tensor, again.state_dict()[key]) for key, tensor in adapted.state_dict().items())
    save_segmenter(build_segmenter(spec_of("sam_unet"), 2), tmp_path / "plain")
    report = initialise(again, tmp_path / "plain")
    assert report.missing
    assert all(is_adapter(key) for key in report.missing)
