from __future__ import annotations

from dataclasses import fields

import pytest
import torch

from anyscope.corruptions import CORRUPTIONS, SEVERITIES, warp_labels
from anyscope.errors import BadInput

NAMES = list(CORRUPTIONS)


def batch(depth: int = 1, size: int = 48, count: int = 2) -> torch.Tensor:
    """Soft blobs on a dark ground, [B, 1, Z, H, W] in 0..1."""
    random = torch.Generator().manual_seed(5)
    coarse = torch.rand((count * depth, 1, 6, 6), generator=random)
    fine = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic").clamp(0, 1)
    return fine.reshape(count, depth, 1, size, size).transpose(1, 2).contiguous()


@pytest.mark.parametrize("name", NAMES)
def test_entries_say_what_they_are(name):
    kind = CORRUPTIONS[name]
    assert kind.name == name
    assert kind.family in ("fluorescence", "electron", "digital")
    assert kind.summary
    assert kind.source
    assert {field.name for field in fields(kind)} == set(kind.levels)
    assert all(len(values) == len(SEVERITIES) for values in kind.levels.values())
    assert len({tuple(kind.at(severity).parameters().values()) for severity in SEVERITIES}) == 5


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("severity", [1, 5])
@pytest.mark.parametrize("name", NAMES)
def test_results_keep_shape_and_range(name, severity, depth):
    images = batch(depth)
    before = images.clone()
    kind = CORRUPTIONS[name]
    result = kind.at(severity)(images, [3, 4])
    assert torch.equal(images, before)
    assert result.images.shape == images.shape
    assert result.images.dtype == torch.float32
    assert torch.isfinite(result.images).all()
    if not kind.new_exposure:
        assert result.images.min() >= 0
        assert result.images.max() <= 1
    if result.field is not None:
        assert result.field.shape == (2, 2, depth, 48, 48)
        moved, inside = warp_labels(torch.ones((2, depth, 48, 48), dtype=torch.int64), result.field)
        assert inside.any()
        assert moved[inside].all()
    if result.valid is not None:
        assert result.valid.shape == (2, depth, 48, 48)
        assert result.valid.dtype == torch.bool


@pytest.mark.parametrize("name", NAMES)
def test_an_image_depends_on_its_seed_alone(name):
    images = batch(2, count=3)
    corruption = CORRUPTIONS[name].at(3)
    together = corruption(images, [7, 8, 9])
    alone = corruption(images[1:2], [8])
    torch.testing.assert_close(together.images[1:2], alone.images, rtol=1e-5, atol=1e-5)
    again = corruption(images, [7, 8, 9])
    assert torch.equal(together.images, again.images)


@pytest.mark.parametrize("name", NAMES)
def test_more_is_worse(name):
    images = batch(4, size=64, count=4)
    seeds = [1, 2, 3, 4]
    kind = CORRUPTIONS[name]
    distances = [float((kind.at(severity)(images, seeds).images - images).abs().mean()) for severity in SEVERITIES]
    assert distances[0] > 0
    assert distances[-1] > distances[0]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(1, 1, 1, 17, 33), (1, 3, 2, 40, 24)])
def test_odd_shapes_and_several_channels(name, shape):
    images = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    assert CORRUPTIONS[name].at(5)(images, [0]).images.shape == shape


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_flat_images(name, value):
    images = torch.full((1, 1, 1, 32, 32), value)
    assert torch.isfinite(CORRUPTIONS[name].at(5)(images, [0]).images).all()


@pytest.mark.parametrize("severity", [0, 6, 1.5])
def test_severities_are_one_to_five(severity):
    with pytest.raises(BadInput, match="1, 2, 3, 4 or 5"):
        CORRUPTIONS["gaussian_noise"].at(severity)
