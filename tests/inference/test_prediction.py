"""Tiled equals untiled; resampling, augmentation, blending and decoding on networks whose answer is known."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from anyscope.errors import BadInput
from anyscope.inference import InferenceSettings, predict_maps, segment, tiling_difference
from anyscope.inference.memory import estimate_memory

from .networks import Blur, Global, Pixelwise, mask_spec, random_unet

UNETS = {levels: random_unet(levels, seed=levels) for levels in (2, 3, 4)}


def image(shape, seed=0):
    """A random image (c, z, y, x)."""
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(sorted(UNETS)),
    st.integers(1, 2),
    st.integers(1, 120),
    st.integers(1, 120),
    st.integers(1, 40),
    st.integers(1, 5),
    st.sampled_from(["none", "none", "flips", "d4"]),
)
def test_tiled_equals_untiled(levels, depth, height, width, extra, batch, augmentation):
    segmenter = UNETS[levels]
    tile = 2 * (segmenter.receptive_field() // 2 + segmenter.stride) + extra
    shown = image((1, depth, height, width))
    tiled = predict_maps(
        segmenter, shown, settings=InferenceSettings(tile=tile, batch=batch, augmentation=augmentation)
    )
    whole = predict_maps(segmenter, shown, settings=InferenceSettings(tile=4096, augmentation=augmentation))
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-5)


def test_untiled_is_the_forward_pass():
    segmenter, shown = UNETS[3], image((1, 1, 45, 51))
    with torch.inference_mode():
        logits = segmenter(torch.from_numpy(shown[:, 0][None]))[0].numpy()
    expected = np.stack([1 / (1 + np.exp(-logits[0])), 1 / (1 + np.exp(-logits[1])), np.tanh(logits[2])])
    found = predict_maps(segmenter, shown)
    np.testing.assert_allclose(found[:, 0], expected, atol=1e-5)
    assert found.std() > 0.01  # not a constant network, for which anything would be equal


def test_a_halo_that_is_too_small_is_noticed():
    segmenter, shown = UNETS[4], image((1, 1, 160, 160))
    assert tiling_difference(segmenter, shown, settings=InferenceSettings(tile=136)).maximum < 1e-5
    short = InferenceSettings(tile=48, halo=8)
    assert tiling_difference(segmenter, shown, settings=short).maximum > 1e-5
    assert any("blended" in note for note in segment(segmenter, shown, settings=short).notes)
    assert segment(segmenter, shown).notes == ()


def test_networks_that_see_everything_are_blended_and_measured():
    network = Global(mask_spec())
    shown = image((1, 1, 96, 96))
    shown[..., 48:] *= 0.5
    difference = tiling_difference(network, shown, settings=InferenceSettings(tile=40))
    assert difference.tiles > 4
    assert 0.01 < difference.maximum < 0.5
    assert difference.mean < difference.maximum
    constant = np.full((1, 1, 96, 96), 0.3, np.float32)
    np.testing.assert_allclose(predict_maps(network, constant, settings=InferenceSettings(tile=40)), 0.5, atol=1e-5)


def test_blending_keeps_what_tiles_agree_on():
    """Weights sum to one: a pixelwise network that claims to be global is reproduced through the blending."""
    network = Pixelwise(mask_spec())
    network._field = None
    shown = image((1, 2, 77, 91))
    settings_ = InferenceSettings(tile=32, batch=3)
    assert not estimate_memory(network, shown.shape, settings_).layout.exact
    np.testing.assert_allclose(
        predict_maps(network, shown, settings=settings_), 1 / (1 + np.exp(-(8 * shown - 4))), atol=1e-5
    )


@pytest.mark.parametrize("augmentation", ["flips", "d4"])
def test_augmentation_changes_nothing_for_an_equivariant_network(augmentation):
    network, shown = Blur(mask_spec()), image((1, 2, 33, 47))
    plain = predict_maps(network, shown)
    turned = predict_maps(network, shown, settings=InferenceSettings(augmentation=augmentation))
    np.testing.assert_allclose(turned, plain, atol=1e-6)


def test_augmentation_is_the_mean_over_orientations():
    segmenter, shown = UNETS[2], image((1, 1, 24, 36))
    turns = [(lambda a, k=k: np.rot90(a, k, (-2, -1)), lambda a, k=k: np.rot90(a, -k, (-2, -1))) for k in range(4)]
    found = []
    for flip in (False, True):
        for turn, back in turns:
            turned = turn(shown[..., ::-1] if flip else shown)
            maps = back(predict_maps(segmenter, np.ascontiguousarray(turned)))
            found.append(maps[..., ::-1] if flip else maps)
    expected = np.mean(found, axis=0)
    d4 = predict_maps(segmenter, shown, settings=InferenceSettings(augmentation="d4"))
    np.testing.assert_allclose(d4, expected, atol=1e-5)
    assert np.abs(d4 - predict_maps(segmenter, shown)).max() > 1e-3


def test_resampling_there_and_back():
    """A smooth image survives: a pixelwise network at another resolution gives nearly what it gives here."""
    y, x = np.indices((120, 90)) / 12
    shown = (0.5 + 0.4 * np.sin(y) * np.cos(x)).astype(np.float32)[None, None]
    expected = predict_maps(Pixelwise(mask_spec()), shown)
    for working in (8.0, 14.0, 2.5):
        network = Pixelwise(mask_spec(pixel_size_nm=working))
        found = predict_maps(network, shown, pixel_size_nm=5.0)
        assert found.shape == expected.shape
        inner = np.s_[..., 4:-4, 4:-4]
        np.testing.assert_allclose(found[inner], expected[inner], atol=0.05)


def test_the_network_sees_its_working_pixels():
    seen = []

    class Watching(Blur):
        def forward(self, images):
            seen.append(tuple(images.shape))
            return super().forward(images)

    network = Watching(mask_spec(pixel_size_nm=10))
    segment(network, image((1, 1, 64, 96)), pixel_size_nm=5)
    assert seen[-1] == (1, 1, 32, 48)
    prediction = segment(network, image((1, 1, 64, 96)), pixel_size_nm=None)
    assert seen[-1] == (1, 1, 64, 96)
    assert "pixel size unknown" in prediction.notes[0]
    assert segment(network, image((1, 1, 64, 96)), pixel_size_nm=10.1).notes == ()
    with pytest.raises(BadInput, match="check the voxel size"):
        segment(network, image((1, 1, 64, 96)), pixel_size_nm=4600)


def test_nothing_aliases():
    """A pattern finer than the working pixels becomes grey."""
    stripes = np.zeros((1, 1, 64, 64), np.float32)
    stripes[..., ::2] = 1
    found = predict_maps(Pixelwise(mask_spec(pixel_size_nm=40)), stripes, pixel_size_nm=10)
    np.testing.assert_allclose(found[..., 8:-8, 8:-8], 0.5, atol=0.05)


def test_neighbours_are_channels_ordered_by_slice():
    spec = mask_spec(neighbours=1, channels=2, classes=6)  # six logits show all six channels
    shown = image((2, 4, 5, 7))
    maps = predict_maps(Pixelwise(spec), shown)
    for z in range(4):
        before, after = max(0, z - 1), min(3, z + 1)
        logits = 8 * np.concatenate([shown[:, before], shown[:, z], shown[:, after]]) - 4
        expected = np.exp(logits) / np.exp(logits).sum(axis=0)
        np.testing.assert_allclose(maps[:, z], expected, atol=1e-6)


def test_slices_are_independent_of_the_batch():
    segmenter, shown = UNETS[2], image((1, 5, 40, 40))
    one = predict_maps(segmenter, shown, settings=InferenceSettings(batch=1))
    many = predict_maps(segmenter, shown, settings=InferenceSettings(batch=4))
    np.testing.assert_allclose(one, many, atol=1e-5)


def test_segment_uses_the_decoder_of_the_spec():
    shown = np.zeros((1, 2, 40, 40), np.float32)
    shown[..., 5:15, 5:15] = 1
    shown[..., 20:38, 20:38] = 0.7
    masks = segment(Pixelwise(mask_spec()), shown)
    assert masks.labels.dtype == np.uint8
    np.testing.assert_array_equal(masks.labels, shown[0] > 0.5)
    np.testing.assert_allclose(masks.probability, 1 / (1 + np.exp(-(8 * shown[0] - 4))), atol=1e-6)
    spec = mask_spec(task="instances", decoder={"name": "components", "parameters": {"dimensions": 3}})
    assert segment(Pixelwise(spec), shown).labels.max() == 2
    spec = mask_spec(task="instances", decoder={"name": "components"})
    assert segment(Pixelwise(spec), shown).labels.max() == 4
    spec = mask_spec(task="instances", decoder={"name": "components", "parameters": {"threshold": 0.9}})
    assert segment(Pixelwise(spec), shown).labels.max() == 2


def test_several_classes():
    shown = np.zeros((3, 1, 8, 8), np.float32)
    shown[0], shown[1, :, :4], shown[2, :, 6:] = 0.5, 1, 1
    prediction = segment(Pixelwise(mask_spec(channels=3, classes=3)), shown)
    assert prediction.labels[0, :, 0].tolist() == [1] * 4 + [0] * 2 + [2] * 2
    logits = 8 * shown[:, 0] - 4
    background = np.exp(logits[0]) / np.exp(logits).sum(axis=0)
    np.testing.assert_allclose(prediction.probability[0], 1 - background, atol=1e-5)


def test_the_network_is_left_as_it_was():
    segmenter = random_unet(2)
    segmenter.train()
    before = {name: tensor.clone() for name, tensor in segmenter.state_dict().items()}
    progress = []
    predict_maps(segmenter, image((1, 5, 20, 20)), settings=InferenceSettings(batch=2), advance=progress.append)
    assert progress == [2, 2, 1]
    assert segmenter.training
    assert all(torch.equal(before[name], tensor) for name, tensor in segmenter.state_dict().items())


@pytest.mark.parametrize(
    ("shown", "message"),
    [
        (np.zeros((2, 1, 8, 8), np.float32), "2 channels; expected 1"),
        (np.zeros((1, 8, 8), np.float32), "axes"),
        (np.zeros((1, 1, 0, 8), np.float32), "none of them empty"),
        (np.zeros((1, 1, 8, 8), np.float64), "float64"),
    ],
)
def test_images_that_do_not_fit(shown, message):
    with pytest.raises(BadInput, match=message):
        predict_maps(UNETS[2], shown)


def test_a_tile_smaller_than_its_halos_is_refused():
    with pytest.raises(BadInput, match="tile"):
        predict_maps(UNETS[4], image((1, 1, 300, 300)), settings=InferenceSettings(tile=32))
