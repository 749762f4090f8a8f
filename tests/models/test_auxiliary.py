"""Auxiliary outputs of a segmenter."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from anyscope.errors import BadInput
from anyscope.models import MODELS, build_segmenter, save_segmenter
from anyscope.models.nets.auxiliary import FCNHead
from anyscope.models.storage import WEIGHTS_FILE

GUIDED = {"pspnet": (0.4,), "upernet": (0.4,), "upernet_convnext": (0.4,), "upernet_swin": (0.4,), "icnet": (0.4, 0.16)}


@pytest.mark.parametrize("name", list(MODELS))
def test_auxiliary_logits_have_the_size_of_the_image(name, shared):
    segmenter = shared(name).eval()
    x = torch.rand(1, 1, 67, 93, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits, auxiliary = segmenter(x, auxiliary=True)
        assert torch.equal(logits, segmenter(x))
    assert segmenter.is_guided == (name in GUIDED)
    assert tuple(weight for weight, _ in auxiliary) == GUIDED.get(name, ())
    assert all(each.shape == logits.shape for _, each in auxiliary)


def test_they_are_resized_to_the_padded_image_and_cut(shared):
    segmenter = shared("pspnet").eval()
    x = torch.rand(1, 1, 20, 30, generator=torch.Generator().manual_seed(0))
    padded = F.pad((x - 0.5) / 0.25, (0, 2, 0, 4), mode="replicate")
    with torch.no_grad():
        _, [(_, found)] = segmenter(x, auxiliary=True)
        coarse = segmenter.net.forward_training(padded)[1][0]
    assert coarse.shape == (1, 3, 6, 8)  # the encoder's stage at 1/4
    expected = F.interpolate(coarse, (24, 32), mode="bilinear")[..., :20, :30]
    assert torch.allclose(found, expected)


def test_the_head_by_hand():
    """3 x 3 convolution to a quarter of the channels, normalisation, 1 x 1 convolution."""
    assert sum(weight.numel() for weight in FCNHead(64, 3).parameters()) == 9 * 64 * 16 + 2 * 16 + 17 * 3
    assert sum(weight.numel() for weight in FCNHead(64, 3, 256).parameters()) == 9 * 64 * 256 + 2 * 256 + 257 * 3


@pytest.mark.parametrize("name", ["pspnet", "deeplabv3"])
def test_the_weight_is_an_argument_and_0_is_none(name, spec_of):
    off = build_segmenter(spec_of(name, arguments={"auxiliary": 0}), 0)
    on = build_segmenter(spec_of(name, arguments={"auxiliary": 0.2}), 0)
    assert not off.is_guided
    assert on.net.auxiliary_weights == (0.2,)
    assert not [key for key in off.state_dict() if "guide" in key]
    # the seed gives the network itself the same weights with and without
    bare = {key.replace("net.net.", "net."): tensor for key, tensor in on.state_dict().items() if "guide" not in key}
    assert bare.keys() == off.state_dict().keys()
    assert all(torch.equal(tensor, bare[key]) for key, tensor in off.state_dict().items())


def test_a_wrong_weight(spec_of):
    with pytest.raises(BadInput, match="auxiliary"):
        build_segmenter(spec_of("pspnet", arguments={"auxiliary": -1}), 0)


def test_they_are_saved(shared, tmp_path):
    save_segmenter(shared("pspnet"), tmp_path / "s")
    keys = load_file(tmp_path / "s" / WEIGHTS_FILE).keys()
    assert {"net.guide.0.weight", "net.guide.4.bias"} <= keys
