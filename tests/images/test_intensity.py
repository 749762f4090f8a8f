"""The range of an image, and its scaling to 0..1."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pydantic import ValidationError

from anyscope.errors import BadInput
from anyscope.geometry import Roi
from anyscope.images import Intensity, load_unit, open_image, to_unit, write_image
from anyscope.images import intensity as intensity_module
from anyscope.images.intensity import percentiles, sample
from anyscope.seeding import generator

DTYPES = ("b1", "i1", "i2", "i4", "u1", "u2", "u4", "f2", "f4", "f8")


@pytest.mark.parametrize("text", ["dtype", "percentiles:0.1,99.9", "percentiles:2,98", "fixed:-5,4095", "fixed:0,0.25"])
def test_text_round_trip(text: str) -> None:
    parsed = Intensity.parse(text)
    assert str(parsed) == text
    assert Intensity.model_validate(parsed.model_dump()) == parsed


def test_defaults() -> None:
    assert Intensity() == Intensity.parse("percentiles") == Intensity(kind="percentiles", low=0.1, high=99.9)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "auto",
        "fixed",
        "fixed:1",
        "fixed:2,1",
        "fixed:0,nan",
        "fixed:0,inf",
        "fixed:a,b",
        "fixed:1,2,3",
        "dtype:0,1",
        "percentiles:-1,50",
        "percentiles:5,101",
    ],
)
def test_impossible_ranges_are_refused(text: str) -> None:
    with pytest.raises(BadInput, match="range"):
        Intensity.parse(text)


def test_unknown_keys_are_refused() -> None:
    with pytest.raises(ValidationError):
        Intensity.model_validate({"kind": "dtype", "lo": 1})


@given(
    arrays(np.dtype("i2"), array_shapes(min_dims=1, max_dims=1, max_side=300))
    | arrays(np.dtype("u1"), array_shapes(min_dims=1, max_dims=1, max_side=300))
    | arrays(np.dtype("f8"), 50, elements=st.floats(-1e6, 1e6)),
    st.floats(0, 100),
)
def test_percentiles_agree_with_numpy(values: np.ndarray, percent: float) -> None:
    expected = np.percentile(values.astype(np.float64), [percent, 100])
    assert percentiles(values, (percent, 100.0)) == pytest.approx(tuple(expected), rel=1e-12, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(DTYPES), st.data())
def test_every_array_has_a_defined_result(dtype: str, data: st.DataObject) -> None:
    array = data.draw(arrays("b1" if dtype == "b1" else f"u{dtype[1]}", (1, 2, 3, 4))).view(dtype)
    low, high = data.draw(st.tuples(st.floats(-1e300, 1e300), st.floats(-1e300, 1e300)))
    unit = to_unit(array, (low, high))
    assert unit.shape == array.shape
    assert unit.dtype == np.float32
    assert np.isfinite(unit).all()
    assert unit.min() >= 0
    assert unit.max() <= 1
    if low >= high:
        assert not unit.any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_scaling_against_the_formula(dtype: str) -> None:
    array = generator(1, dtype).integers(0, 100, (2, 3, 8, 9)).astype(dtype)
    expected = np.clip((array.astype(np.float64) - 10) / 70, 0, 1)
    assert np.abs(to_unit(array, (10, 80)) - expected).max() < 1e-7
    assert np.array_equal(to_unit(array.astype(array.dtype.newbyteorder(">")), (10, 80)), to_unit(array, (10, 80)))


def test_special_values() -> None:
    array = np.array([[np.nan, np.inf, -np.inf, 0.5, 2.0]])
    assert to_unit(array, (0, 2)).tolist() == [[0.0, 1.0, 0.0, 0.25, 1.0]]
    assert to_unit(array.astype(np.float16), (0, 2)).tolist() == [[0.0, 1.0, 0.0, 0.25, 1.0]]


@pytest.mark.parametrize(
    ("dtype", "kind"),
    [(dtype, kind) for dtype in DTYPES for kind in ("random", "constant")]
    + [(dtype, kind) for dtype in ("f2", "f4", "f8") for kind in ("all nan", "partly nan", "infinite")],
)
def test_every_kind_of_image_has_a_defined_result(tmp_path: Path, dtype: str, kind: str) -> None:
    array = (generator(2, dtype).random((1, 5, 16, 16)) * 100).astype(dtype)
    special = {"all nan": np.nan, "partly nan": np.nan, "infinite": np.inf}
    if kind == "constant":
        array[:] = 1
    elif kind != "random":
        array[0, 0 : 5 if kind == "all nan" else 2] = special[kind]
    write_image(tmp_path / "a.tif", array)
    image = open_image(tmp_path / "a.tif")
    unit = load_unit(image, Intensity())
    assert unit.shape == array.shape
    if kind in ("constant", "all nan"):
        assert not unit.any()
        return
    finite = array[np.isfinite(array)].astype(np.float64)
    low, high = np.percentile(finite, [0.1, 99.9])
    with np.errstate(all="ignore"):
        expected = np.nan_to_num(np.clip((array.astype(np.float64) - low) / (high - low), 0, 1), nan=0.0)
    assert np.abs(unit - expected).max() < 1e-6


def test_range_of_dtypes(tmp_path: Path) -> None:
    ranges = {"b1": (0, 1), "u1": (0, 255), "i1": (-128, 127), "u2": (0, 65535), "i2": (-32768, 32767)}
    for dtype, expected in ranges.items():
        write_image(tmp_path / f"{dtype}.tif", np.ones((1, 1, 4, 4), dtype))
        assert Intensity(kind="dtype").range_of(open_image(tmp_path / f"{dtype}.tif")) == expected


def test_range_of_floats_is_only_known_for_unit_images(tmp_path: Path) -> None:
    array = generator(3, "unit").random((1, 1, 8, 8)).astype(np.float32)
    array[0, 0, 0, 0] = np.nan
    write_image(tmp_path / "a.tif", array)
    assert Intensity(kind="dtype").range_of(open_image(tmp_path / "a.tif")) == (0, 1)
    write_image(tmp_path / "b.tif", array * 300)
    with pytest.raises(BadInput, match=r"float values from .*choose --range percentiles:0\.1,99\.9 or --range fixed"):
        load_unit(open_image(tmp_path / "b.tif"), Intensity(kind="dtype"))


def test_a_region_is_an_image_of_its_own(tmp_path: Path) -> None:
    array = np.arange(400, dtype=np.uint16).reshape(1, 1, 20, 20)
    write_image(tmp_path / "a.tif", array)
    image = open_image(tmp_path / "a.tif")
    region = Roi((0, 5, 5), (1, 10, 10))
    extremes = Intensity(kind="percentiles", low=0, high=100)
    assert extremes.range_of(image, region) == (105, 189)
    assert extremes.range_of(image) == (0, 399)
    expected = to_unit(array[(slice(None), *region.slices)], (105, 189))
    assert np.array_equal(load_unit(image, extremes, region), expected)


def test_large_images_are_sampled_the_same_way_every_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array = generator(4, "large").normal(1000, 100, (150, 40, 50)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", array, metadata={"axes": "ZYX"})
    image = open_image(tmp_path / "a.tif")
    exact = Intensity().range_of(image)
    assert exact == pytest.approx(tuple(np.percentile(array, [0.1, 99.9])))
    monkeypatch.setattr(intensity_module, "MAX_VALUES", 40_000)
    values = sample(image)
    assert 10_000 < values.size <= 40_000
    assert np.array_equal(values, sample(image))
    assert Intensity().range_of(image) == pytest.approx(exact, rel=0.03)


@given(st.integers(0, 40), st.integers(1, 60), st.integers(1, 20))
def test_boxes_cover_a_region_once_along_the_chunks(first: int, planes: int, depth: int) -> None:
    region = Roi((first, 2, 3), (first + planes, 1500, 1100))
    boxes = intensity_module._boxes(region, depth)
    assert sum(box.size for box in boxes) == region.size
    assert len({box.start for box in boxes}) == len(boxes)
    assert all(box.intersect(region) == box for box in boxes)
    assert all(box.start[0] // depth == (box.stop[0] - 1) // depth for box in boxes), "a box lies in one chunk"


def test_float_extremes_do_not_overflow(tmp_path: Path) -> None:
    write_image(tmp_path / "a.tif", np.array([-1.7e308, 0, 1.7e308, 1.0]).reshape(1, 1, 2, 2))
    unit = load_unit(open_image(tmp_path / "a.tif"), Intensity())
    assert unit.ravel() == pytest.approx([0, 0.5, 1, 0.5])


def test_reading_does_not_change_the_values(tmp_path: Path) -> None:
    array = generator(5, "order").integers(0, 255, (1, 1, 32, 32)).astype(np.uint8)
    write_image(tmp_path / "a.tif", array)
    assert np.array_equal(
        load_unit(open_image(tmp_path / "a.tif"), Intensity.parse("fixed:0,255")), array / np.float32(255)
    )
    full = load_unit(open_image(tmp_path / "a.tif"), Intensity.parse("percentiles:0,100"))
    assert np.allclose(full, (array - array.min()) / (array.max() - array.min()), atol=1e-6)
