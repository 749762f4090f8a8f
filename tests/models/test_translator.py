"""A translator inside a segmenter: what it does to images, and that it is saved with it."""

from __future__ import annotations

import pytest
import torch

from anyscope.errors import BadInput
from anyscope.models import InputTransform, build_segmenter, load_segmenter, save_segmenter
from anyscope.models.spec import TranslatorSpec
from anyscope.models.translator import GENERATORS, Translator, to_signed, to_unit_range

NAME, SMALL = "resnet_generator", {"filters": 4, "blocks": 1}


def images(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def translator(channels=1, **arguments):
    return Translator.build(NAME, {**SMALL, **arguments}, channels, seed=3)


@pytest.fixture
def segmenter(spec_of):
    return build_segmenter(spec_of("unet_simple"), seed=0).eval()


@pytest.mark.parametrize("name", list(GENERATORS))
@pytest.mark.parametrize("shape", [(1, 1), (17, 30), (32, 32)])
def test_images_of_any_size_stay_in_0_to_1(name, shape):
    made = Translator.build(name, {}, 1, seed=0)(images(2, 1, *shape))
    assert made.shape == (2, 1, *shape)
    assert made.min() >= 0
    assert made.max() <= 1


def test_grey_slices_alone_and_colours_together():
    grey, colours = translator(), translator(3)
    x = images(2, 3, 16, 16)
    with torch.no_grad():
        slices = torch.cat([grey(x[:, i : i + 1]) for i in range(3)], dim=1)
        assert torch.allclose(grey(x), slices, atol=1e-5)
        both = torch.cat([x, 1 - x], dim=1)
        assert torch.allclose(colours(both), torch.cat([colours(x), colours(1 - x)], dim=1), atol=1e-5)
        mixed = x.clone()
        mixed[:, 2] = 0
        assert not torch.allclose(colours(mixed)[:, 0], colours(x)[:, 0], atol=1e-6)


def test_ranges():
    x = images(1, 1, 4, 4)
    assert torch.allclose(to_unit_range(to_signed(x)), x, atol=1e-6)
    assert to_unit_range(torch.tensor([-1.5, 1.5])).tolist() == [0, 1]


def test_strength_0_leaves_images_as_they_are():
    net = translator()
    x = images(1, 1, 20, 20)
    assert not torch.equal(net(x), x)
    net.strength.fill_(0)
    assert torch.equal(net(x), x)


def test_one_seed_gives_the_same_weights_and_leaves_the_global_generator():
    state = torch.random.get_rng_state()
    first, second = translator(), translator()
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_a_segmenter_translates_before_it_normalises(segmenter):
    x = images(1, 1, 24, 32)
    net = translator()
    with torch.no_grad():
        expected = segmenter(net(x))
        plain = segmenter(x)
        segmenter.attach_translator(net)
        assert torch.equal(segmenter(x), expected)
        assert not torch.equal(expected, plain)
        with segmenter.seeing(InputTransform()):
            assert torch.equal(segmenter(x), plain)
        assert torch.equal(segmenter(x), expected)


def test_levels_come_first(segmenter):
    segmenter.spec = segmenter.spec.with_input(levels=((1.0, 0.0),))
    segmenter.attach_translator(translator())
    x = images(1, 1, 16, 16)
    with torch.no_grad():
        assert torch.allclose(segmenter.transform_input(x), translator()(1 - x), atol=1e-5)


def test_an_attached_translator_is_frozen_and_alone(segmenter):
    segmenter.attach_translator(translator())
    assert not any(weight.requires_grad for weight in segmenter.translator.parameters())
    assert all(weight.requires_grad for weight in segmenter.net.parameters())
    with pytest.raises(BadInput, match="translates its images already"):
        segmenter.attach_translator(translator())


def test_gradients_pass_to_the_image(segmenter):
    segmenter.attach_translator(translator())
    x = images(1, 1, 32, 32).requires_grad_()
    segmenter(x).square().mean().backward()
    assert x.grad.abs().sum() > 0


def test_every_pixel_reaches_all(segmenter):
    assert segmenter.receptive_field() is not None
    segmenter.attach_translator(translator())
    assert segmenter.receptive_field() is None


def test_saved_and_loaded(segmenter, tmp_path):
    segmenter.attach_translator(translator(residual=True))
    save_segmenter(segmenter, tmp_path / "segmenter")
    loaded = load_segmenter(tmp_path / "segmenter")
    assert loaded.spec == segmenter.spec
    assert loaded.spec.input.translator == TranslatorSpec(name=NAME, arguments={**SMALL, "residual": True})
    state = loaded.state_dict()
    assert all(torch.equal(tensor, state[key]) for key, tensor in segmenter.state_dict().items())
    assert any(key.startswith("translator.") for key in state)
    assert not any(weight.requires_grad for weight in loaded.translator.parameters())
    x = images(1, 1, 24, 24)
    with torch.no_grad():
        assert torch.equal(loaded(x), segmenter(x))


def test_a_segmenter_without_one_has_no_trace_of_it(segmenter, tmp_path):
    """Its file is as it was before there were translators."""
    assert not any("translator" in key for key in segmenter.state_dict())
    save_segmenter(segmenter, tmp_path / "segmenter")
    document = (tmp_path / "segmenter" / "segmenter.yaml").read_text()
    text = "\n".join(line for line in document.splitlines() if "translator" not in line)
    (tmp_path / "segmenter" / "segmenter.yaml").write_text(text + "\n")
    assert load_segmenter(tmp_path / "segmenter").translator is None


def test_a_spec_with_an_unknown_generator(spec_of):
    wrong = InputTransform(translator=TranslatorSpec(name="nonsense"))
    with pytest.raises(BadInput, match="generator 'nonsense'"):
        build_segmenter(spec_of("unet_simple", input=wrong), seed=0)
    wrong = InputTransform(translator=TranslatorSpec(name=NAME, arguments={"blocks": -1}))
    with pytest.raises(BadInput, match="blocks"):
        build_segmenter(spec_of("unet_simple", input=wrong), seed=0)
