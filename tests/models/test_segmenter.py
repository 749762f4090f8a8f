from __future__ import annotations

import pytest
import torch

from anyscope.errors import BadInput
from anyscope.models import MODELS, SegmenterSpec, build_segmenter

NAMES = list(MODELS)


def images(batch, channels, height, width, seed=0):
    return torch.rand(batch, channels, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("training", [True, False])
def test_logits_of_an_odd_image(name, channels, training, shared):
    segmenter = shared(name, channels).train(training)
    with torch.no_grad():
        logits = segmenter(images(1, channels, 67, 93))
    assert logits.shape == (1, 3, 67, 93)
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(1, 1), (5, 40)])
def test_a_single_tiny_image_in_training_and_evaluation(name, shape, shared):
    segmenter = shared(name)
    with torch.no_grad():
        for training in (True, False):
            assert segmenter.train(training)(images(1, 1, *shape)).shape == (1, 3, *shape)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_the_image_and_every_weight(name, shared):
    segmenter = shared(name).train()
    x = images(2, 1, 64, 64).requires_grad_()
    logits, auxiliary = segmenter(x, auxiliary=True)
    sum(each.square().mean() for each in (logits, *(each for _, each in auxiliary))).backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert (x.grad != 0).any(dim=(0, 1)).float().mean() > 0.9
    trained = {key: weight for key, weight in segmenter.named_parameters() if weight.requires_grad}
    assert [key for key, weight in trained.items() if weight.grad is None] == []
    assert len(trained) > 10
    segmenter.zero_grad()


@pytest.mark.parametrize("name", NAMES)
def test_evaluation_is_deterministic_and_images_of_a_batch_are_independent(name, shared):
    segmenter = shared(name).eval()
    x = images(2, 1, 64, 96)
    with torch.no_grad():
        both = segmenter(x)
        assert torch.equal(both, segmenter(x))
        assert torch.allclose(both[1:], segmenter(x[1:]), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_one_seed_gives_the_same_weights_and_leaves_the_global_generator(name, shared, spec_of):
    state = torch.random.get_rng_state()
    first, second = shared(name), build_segmenter(spec_of(name, classes=3), seed=1)
    assert torch.equal(state, torch.random.get_rng_state())
    torch.rand(1)
    weights = dict(second.named_parameters())
    assert all(torch.equal(tensor, weights[key]) for key, tensor in first.named_parameters())
    assert second.spec.weights == "random, seed 1"


@pytest.mark.parametrize("name", ["unet_simple", "segformer"])
def test_other_seeds_give_other_weights(name, shared, spec_of):
    other = dict(build_segmenter(spec_of(name, classes=3), seed=2).named_parameters())
    assert any(
        not torch.equal(tensor, other[key]) for key, tensor in shared(name).named_parameters() if tensor.ndim > 1
    )


@pytest.mark.parametrize("name", NAMES)
def test_stride_is_enough(name, shared):
    """Images of the padded size pass unchanged: what the segmenter cuts off is what it added."""
    segmenter = shared(name).eval()
    side = max(segmenter.stride, MODELS[name].smallest)
    x = images(1, 1, side, side)
    with torch.no_grad():
        assert torch.equal(segmenter(x), segmenter.net((x - 0.5) / 0.25))


def test_normalisation_is_inside_and_saved(spec_of):
    segmenter = build_segmenter(spec_of("unet_simple", channels=2), seed=0).eval()
    x = images(1, 2, 16, 16)
    assert torch.equal(segmenter(x), segmenter.net((x - 0.5) / 0.25))
    assert {"mean", "std"} <= segmenter.state_dict().keys()


def test_neighbouring_slices_are_channels(spec_of):
    segmenter = build_segmenter(spec_of("unet_simple", neighbours=1), seed=0)
    assert segmenter(images(1, 3, 8, 8)).shape == (1, 1, 8, 8)


def test_unknown_model_lists_the_valid_names():
    with pytest.raises(BadInput, match=r"one of .*unet_3level.*did you mean 'unet'"):
        build_segmenter(SegmenterSpec(model="unett", task="semantic"), seed=0)


def test_unknown_argument_lists_the_valid_names():
    with pytest.raises(BadInput, match="encoder"):
        build_segmenter(SegmenterSpec(model="fpn", task="semantic", arguments={"encodr": "resnet18"}), seed=0)


def test_unknown_weights(spec_of):
    with pytest.raises(BadInput, match="random, imagenet or sam"):
        build_segmenter(spec_of("unet_simple"), 0, "coco")


def test_models_without_imagenet_weights_say_which_have_them(spec_of):
    with pytest.raises(BadInput, match=r"no ImageNet weights.*smp_unet"):
        build_segmenter(spec_of("unet_simple"), 0, "imagenet")
