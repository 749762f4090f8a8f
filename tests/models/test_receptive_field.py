from __future__ import annotations

import pytest
import torch
from torch import nn

from anyscope.models import MODELS, build_segmenter
from anyscope.models.receptive_field import receptive_field

NAMES = list(MODELS)
GLOBAL = [name for name in NAMES if MODELS[name].global_statistics]
LOCAL = [name for name in NAMES if name not in GLOBAL and name != "segformer"]


@pytest.mark.parametrize(
    ("layers", "stride", "expected"),
    [
        ([nn.Conv2d(1, 2, 3, padding=1)], 1, 3),
        ([nn.Conv2d(1, 1, 3, padding=1), nn.ReLU(), nn.Conv2d(1, 1, 5, padding=2)], 1, 7),
        ([nn.Conv2d(1, 1, 3, padding=4, dilation=4)], 1, 9),
        # 2 x 2 pooling and back: a pixel of a pair reaches the other one
        ([nn.MaxPool2d(2), nn.Conv2d(1, 1, 1), nn.ConvTranspose2d(1, 1, 2, 2)], 2, 3),
        # cells of 4, each sees its neighbours: at most 7 pixels away
        ([nn.AvgPool2d(4), nn.Conv2d(1, 1, 3, padding=1), nn.Upsample(scale_factor=4)], 4, 15),
        ([nn.Conv2d(1, 1, 1), nn.AdaptiveAvgPool2d(1), nn.Upsample(256)], 1, None),
        ([nn.Conv2d(1, 8, 3, padding=1), nn.GroupNorm(2, 8)], 1, None),
        ([nn.Conv2d(1, 8, 3, padding=1), nn.InstanceNorm2d(8)], 1, None),
    ],
)
def test_by_hand(layers, stride, expected):
    if expected is None and isinstance(layers[-1], nn.Upsample):
        layers[-1] = _Spread()
    assert receptive_field(nn.Sequential(*layers), 1, stride) == expected


class _Spread(nn.Module):
    def forward(self, x):
        return x.expand(-1, -1, 8192, 1)


def test_of_unets_by_hand(shared):
    """Way down 4 (1 + 2 + 4) + 3 pooling steps + 1, way up 4 (2 + 1), and a position within the coarsest cell of 4."""
    assert shared("unet_simple").receptive_field() == 4 * 7 + 3 + 1 + 4 * 3 + 3
    assert shared("unet_small").receptive_field() == 4 * 31 + 15 + 1 + 4 * 15 + 15


@pytest.mark.parametrize("name", GLOBAL)
def test_global_models_let_every_pixel_reach_every_pixel(name, shared):
    segmenter = shared(name).eval()
    assert segmenter.receptive_field() is None
    x = torch.zeros(1, 1, 512, max(segmenter.stride, MODELS[name].smallest))
    x[..., 0, :] = torch.nan
    with torch.no_grad():
        assert segmenter.net(x).isnan().all()


def test_transformers_as_encoders_are_global(shared):
    assert shared("segformer").receptive_field() is None


def test_segformer_is_local_on_a_convolutional_encoder(spec_of):
    field = build_segmenter(spec_of("segformer", arguments={"encoder": "resnet18"}), 0).receptive_field()
    assert field is not None
    assert field > 400


def test_group_normalisation_is_global(spec_of):
    assert build_segmenter(spec_of("unet_simple", arguments={"norm": "group"}), 0).receptive_field() is None


def test_asking_changes_nothing(spec_of):
    segmenter = build_segmenter(spec_of("unet_simple"), 0).train()
    before = {key: value.clone() for key, value in segmenter.state_dict().items()}
    segmenter.receptive_field()
    assert segmenter.training
    assert all(torch.equal(value, before[key]) for key, value in segmenter.state_dict().items())


@pytest.mark.parametrize("name", LOCAL)
def test_pixels_outside_change_nothing_and_pixels_inside_do(name, shared):
    """One row is changed; rows of the output beyond the reach are the same, to the bit, and the reach is used up."""
    segmenter = shared(name).eval()
    stride, radius = segmenter.stride, segmenter.receptive_field() // 2
    half = -(-radius // stride) * stride + stride
    x = torch.rand(1, 1, 2 * half, stride, generator=torch.Generator().manual_seed(0))
    farthest = 0
    with torch.no_grad():
        before = segmenter(x)
        for row in range(half, half + stride, max(1, stride // 4)):
            changed = x.clone()
            changed[..., row, :] = 1 - changed[..., row, :]
            rows = (segmenter(changed) != before).any(dim=1).any(dim=-1)[0].nonzero().flatten()
            farthest = max(farthest, int((rows - row).abs().max()))
    assert 0 < farthest <= radius


@pytest.mark.parametrize("name", LOCAL)
def test_a_tile_with_its_halo_equals_the_whole(name, shared):
    segmenter = shared(name).eval()
    stride, radius = segmenter.stride, segmenter.receptive_field() // 2
    halo = -(-radius // stride) * stride
    x = torch.rand(1, 1, 2 * halo + 5 * stride, stride, generator=torch.Generator().manual_seed(0))
    start = 2 * stride
    with torch.no_grad():
        whole = segmenter(x)[:, :, start + halo : start + halo + stride]
        tile = segmenter(x[:, :, start : start + 2 * halo + stride])[:, :, halo : halo + stride]
    assert torch.allclose(whole, tile, atol=1e-5, rtol=1e-5)
