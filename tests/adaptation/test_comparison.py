"""Comparison of domains on made images that differ in one known way."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from anyscope.adaptation.comparison import compare_domains
from anyscope.adaptation.traits import measure_traits
from anyscope.datasets import UnlabelledImages, open_dataset
from anyscope.errors import BadInput
from anyscope.geometry import VoxelSize
from anyscope.images import write_image
from anyscope.models import InputTransform, SegmenterSpec

SPEC = SegmenterSpec(model="unet_simple", task="semantic", intensity={"kind": "dtype"})


def made(seed, *, level=120.0, contrast=25.0, sigma_px=2.0, noise=2.0, pad=0, channels=1):
    random = np.random.default_rng(seed)
    plane = gaussian_filter(random.standard_normal((channels, 220, 240)), (0, sigma_px, sigma_px))
    values = level + contrast * plane / plane.std() + random.normal(0, noise, plane.shape)
    values = np.clip(values, 1, 255).astype(np.uint8)
    return np.pad(values, ((0, 0), (pad, pad), (pad, pad)))


@pytest.fixture
def write(tmp_path):
    def write_one(name, nm=5.0, dtype=np.uint8, **how):
        image = made(len(name), **how)
        scale = np.iinfo(dtype).max // 255
        write_image(tmp_path / name / "images" / "a.tif", image[:, None].astype(dtype) * dtype(scale))
        images = open_dataset(tmp_path / name).unlabelled(None)
        size = None if nm is None else VoxelSize(None, nm, nm)
        return UnlabelledImages(tuple(replace(region, voxel_size_nm=size) for region in images))

    return write_one


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"level": 150.0}, "the target is brighter"),
        ({"level": 90.0}, "the target is darker"),
        ({"contrast": 35.0}, "the target is richer in contrast"),
        ({"contrast": 18.0}, "the target is poorer in contrast"),
        ({"sigma_px": 3.0}, "the target is blurrier"),
        ({"sigma_px": 1.3}, "the target is sharper"),
        ({"noise": 8.0}, "the target is noisier"),
        ({"pad": 30}, "black padding: 37% of the target, 0% of the source"),
        ({"nm": 8.0}, "the target is 1.60 times coarser (8 nm pixels, source 5 nm)"),
        ({"nm": 4.0}, "the target is 1.25 times finer (4 nm pixels, source 5 nm)"),
        ({"nm": None}, "the pixel size of the target is unknown"),
    ],
)
def test_what_differs_is_said_and_proposed(write, how, said):
    source, target = write("source"), write("target", **how)
    found = compare_domains(source, target, SPEC)
    assert any(line.startswith(said) for line in found.lines()), found.lines()
    assert found.proposal().methods[0] == "rescale"
    assert len(found.proposal().reasons) == len(found.proposal().methods)
    back = compare_domains(target, source, SPEC)
    assert back.histogram_distance == found.histogram_distance
    assert back.spectrum_distance == found.spectrum_distance


def test_domains_that_are_alike(write):
    found = compare_domains(write("source"), write("target"), SPEC)
    assert found.lines() == ["no difference worth a word was found"]
    assert found.proposal().chain == "none"
    assert not found.differs
    same = compare_domains(write("source"), write("source"), SPEC)
    assert same.histogram_distance == same.spectrum_distance == 0


def test_only_what_differs_is_said(write):
    found = compare_domains(write("source"), write("target", level=150.0), SPEC)
    assert [line.split(" (")[0] for line in found.lines()] == [
        "the target is brighter",
        found.lines()[1].split(" (")[0],
    ]
    assert found.lines()[1].startswith("grey levels are")


def test_images_that_look_different_ask_for_self_training(write):
    found = compare_domains(write("source"), write("target", level=150.0), SPEC)
    assert found.proposal().chain == "rescale+fixmatch"
    assert "the target is brighter" in found.proposal().reasons[-1]


def test_pixel_sizes_alone_ask_for_a_search_of_scale_alone(write):
    found = compare_domains(write("source"), write("target", nm=None), SPEC)
    assert found.proposal().chain == "rescale"
    assert "unknown" in found.proposal().reasons[0]


def test_unknown_sizes_of_both(write):
    found = compare_domains(write("source", nm=None), write("target", nm=None), SPEC)
    assert found.pixel_ratio is None
    assert found.lines() == ["the pixel size of the source and of the target is unknown"]
    assert found.proposal().chain == "rescale"


def test_the_size_of_source_objects_is_told(write):
    mask = np.zeros((1, 60, 60), np.uint8)
    mask[0, 10:30, 10:30] = 1
    reference = measure_traits([mask], "semantic")
    found = compare_domains(write("source"), write("target", level=150.0), SPEC, reference=reference)
    assert found.lines()[-1] == "objects of the source are about 23 working pixels across"


def test_it_looks_at_working_pixels(write):
    """The target is twice as coarse and shown enlarged: its detail is as long as the source's."""
    source, target = write("source", sigma_px=3.0, noise=0.0), write("target", sigma_px=1.5, noise=0.0, nm=10.0)
    found = compare_domains(source, target, SPEC.with_input(zoom=2.0))
    assert found.target.detail_px == pytest.approx(found.source.detail_px, rel=0.1)
    by_size = compare_domains(source, target, SPEC.model_copy(update={"pixel_size_nm": 5.0}))
    assert by_size.target.detail_px == pytest.approx(found.target.detail_px, rel=0.01)
    assert InputTransform().zoom == 1


def test_bit_depth_makes_no_difference(write):
    eight, sixteen = write("a"), write("b", dtype=np.uint16)
    spec = SegmenterSpec.model_validate({**SPEC.model_dump(), "intensity": {"kind": "percentiles"}})
    found = compare_domains(eight, sixteen, spec)
    assert not found.differs
    assert found.histogram_distance < 0.001


def test_several_channels(write):
    found = compare_domains(write("source", channels=3), write("target", channels=3, level=160.0), SPEC)
    assert found.source.levels.shape == (3, 256)
    assert found.lines()[0].startswith("the target is brighter")
    with pytest.raises(BadInput, match="1 channels"):
        compare_domains(write("s3", channels=3), write("t1"), SPEC)
    with pytest.raises(BadInput, match="no image"):
        compare_domains(write("s"), UnlabelledImages(()), SPEC)


def test_it_is_plain_data(write):
    found = compare_domains(write("source"), write("target", level=150.0), SPEC)
    data = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert data["proposal"] == "rescale+fixmatch"
    assert data["target"]["mean"] > data["source"]["mean"]


@pytest.mark.parametrize("value", [1, 200])
def test_a_constant_target_does_no_harm(tmp_path, write, value):
    write_image(tmp_path / "c" / "images" / "a.tif", np.full((1, 1, 64, 64), value, np.uint8))
    found = compare_domains(write("source"), open_dataset(tmp_path / "c").unlabelled(None), SPEC)
    assert found.spectrum_distance is None
    assert found.lines()
    json.dumps(found.to_dict(), allow_nan=False)
