"""Specimens: the rule of exact truth for all, and what each promises."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields

import numpy as np
import pytest
import scipy
import skimage
from hypothesis import given, settings
from hypothesis import strategies as st

from anyscope.microscope.specimens import SPECIMENS, EndoplasmicReticulum, Mitochondria, Nuclei, Sample
from anyscope.microscope.specimens.cells import NuclearEnvelopes
from anyscope.microscope.specimens.sample import components, keep_largest_pieces, separate_pieces, smooth_noise
from anyscope.microscope.specimens.tubules import arcs, paint, wander

PIXEL_NM = {"cells": 325.0, "organelles": 65.0}


def draw(name: str, seed: int = 0, shape: tuple[int, int] = (160, 192), zoom: float = 1.0) -> Sample:
    kind = SPECIMENS[name]
    return kind()(np.random.default_rng(seed), shape, PIXEL_NM[kind.scale] * zoom)


@pytest.mark.parametrize("name", list(SPECIMENS))
@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    shape=st.tuples(st.integers(40, 160), st.integers(40, 160)),
    zoom=st.sampled_from([0.7, 1.0, 1.6]),
)
def test_labels_are_the_support_of_the_density(name: str, seed: int, shape: tuple[int, int], zoom: float) -> None:
    sample = draw(name, seed, shape, zoom)
    assert sample.labels.shape == sample.density.shape == shape
    assert (sample.labels.dtype, sample.density.dtype) == (np.int32, np.float32)
    np.testing.assert_array_equal(sample.labels > 0, sample.density > 0)
    assert np.isfinite(sample.density).all()
    assert sample.density.max() < 8
    assert np.setdiff1d(np.arange(1, sample.labels.max() + 1), sample.labels).size == 0


@pytest.mark.parametrize("name", list(SPECIMENS))
def test_every_object_is_one_connected_piece(name: str) -> None:
    labels = draw(name, 1).labels
    pieces = skimage.measure.label(labels, connectivity=2)
    assert pieces.max() == labels.max() > 0


@pytest.mark.parametrize("name", list(SPECIMENS))
def test_one_generator_state_one_sample(name: str) -> None:
    first, again, other = draw(name, 7), draw(name, 7), draw(name, 8)
    assert first.density.tobytes() == again.density.tobytes()
    assert first.labels.tobytes() == again.labels.tobytes()
    assert (first.labels > 0).tolist() != (other.labels > 0).tolist()


@pytest.mark.parametrize("name", list(SPECIMENS))
def test_parameters_are_frozen_and_documented(name: str) -> None:
    kind = SPECIMENS[name]
    for field in fields(kind):
        assert f"{field.name}:" in (kind.__doc__ or "") + (kind.__init__.__doc__ or "")
    with pytest.raises(FrozenInstanceError):
        setattr(kind(), fields(kind)[0].name, 1.0)


@pytest.mark.parametrize("name", list(SPECIMENS))
def test_intensity_alone_does_not_give_the_objects_away(name: str) -> None:
    density = draw(name, 2, (320, 320)).density
    inside = density[density > 0]
    assert inside.std() / inside.mean() > 0.2


def test_nuclei_have_the_size_and_number_asked_for() -> None:
    still = Nuclei(clustering=0.0, per_mm2=1500, diameter_spread=0.1, deformation=0.0, condensed=0.0)
    samples = [still(np.random.default_rng(seed), (700, 700), 325) for seed in range(4)]
    expected = 1500 * (700 * 0.325e-3) ** 2
    counts = [sample.labels.max() for sample in samples]
    assert np.mean(counts) == pytest.approx(expected, rel=0.15)
    inner = [
        region.area
        for sample in samples
        for region in skimage.measure.regionprops(sample.labels)
        if min(region.bbox[:2]) > 0 and max(region.bbox[2:]) < 700
    ]
    assert np.median(inner) == pytest.approx(np.pi / 4 * (10 / 0.325) ** 2, rel=0.1)


def _contacts(labels: np.ndarray) -> int:
    """Number of pairs of objects with pixels side by side."""
    pairs = set()
    for a, b in ((labels[1:], labels[:-1]), (labels[:, 1:], labels[:, :-1])):
        differ = (a != b) & (a > 0) & (b > 0)
        pairs |= {(min(p), max(p)) for p in zip(a[differ].tolist(), b[differ].tolist(), strict=True)}
    return len(pairs)


def test_nuclei_cluster_when_asked_to() -> None:
    apart, together = (
        Nuclei(clustering=p, overlap=o)(np.random.default_rng(3), (500, 500), 325) for p, o in ((0.0, 0.0), (0.7, 0.2))
    )
    assert _contacts(together.labels) > 4 * max(1, _contacts(apart.labels))
    assert _contacts(together.labels) > 15


def test_nuclei_differ_in_brightness_and_have_texture() -> None:
    plain = Nuclei(chromatin=0, nucleoli=0, foci=0, brightness_spread=0, condensed=0, clustering=0)
    rich = Nuclei()

    def contrast(specimen: Nuclei) -> tuple[float, float]:
        sample = specimen(np.random.default_rng(4), (400, 400), 325)
        distance = scipy.ndimage.distance_transform_edt(sample.labels > 0)
        core = np.where(distance > 4, sample.labels, 0)
        regions = skimage.measure.regionprops(core, sample.density)
        means = np.array([region.intensity_mean for region in regions])
        inside = np.mean([region.image_intensity[region.image].std() for region in regions]) / means.mean()
        return float(means.std() / means.mean()), float(inside)

    assert contrast(plain)[0] < 0.12 < 0.25 < contrast(rich)[0]
    assert contrast(plain)[1] < 0.15 < 0.2 < contrast(rich)[1]


def test_mitochondria_have_the_width_asked_for() -> None:
    for width_um in (0.45, 0.8):
        sample = Mitochondria(width_um=width_um, per_1000_um2=25)(np.random.default_rng(5), (512, 512), 65)
        mask = sample.labels > 0
        depth = scipy.ndimage.distance_transform_edt(mask)[skimage.morphology.skeletonize(mask)]
        assert 2 * np.median(depth) * 0.065 == pytest.approx(width_um, rel=0.2)


def test_fragmented_mitochondria_are_short() -> None:
    def lengths(fragmented: float) -> np.ndarray:
        sample = Mitochondria(fragmented=fragmented, per_1000_um2=30)(np.random.default_rng(6), (512, 512), 65)
        return np.array([region.axis_major_length for region in skimage.measure.regionprops(sample.labels)]) * 0.065

    assert np.median(lengths(1.0)) < 1.6
    assert np.median(lengths(0.0)) > 3


def test_mitochondria_stay_out_of_the_nucleus() -> None:
    rng = np.random.default_rng(7)
    sample = Mitochondria()(rng, (512, 512), 65)
    envelopes = NuclearEnvelopes.draw(np.random.default_rng(7), (512, 512), 36 / 0.065, 7 / 0.065)
    grid = np.arange(512, dtype=np.float32)
    nucleus = envelopes.distance(grid[:, None], grid[None, :]) < -5
    assert nucleus.mean() > 0.03
    assert sample.labels[nucleus].max() == 0


def test_reticulum_branches_in_threes() -> None:
    whole = EndoplasmicReticulum(broken=0, sheets=0, bend=0, nucleus_um=0.5, coarsening=0, polygon_um=2.5)
    skeleton = skimage.morphology.skeletonize(whole(np.random.default_rng(8), (360, 360), 65).labels > 0)
    neighbours = scipy.ndimage.convolve(skeleton.astype(int), np.ones((3, 3)), mode="constant") - 1
    junctions, n = scipy.ndimage.label(skeleton & (neighbours > 2), structure=np.ones((3, 3)))
    grown = scipy.ndimage.grey_dilation(junctions, size=(3, 3))
    arms, _ = scipy.ndimage.label(skeleton & (grown == 0), structure=np.ones((3, 3)))
    degree = []
    for junction in range(1, n + 1):
        ring = scipy.ndimage.binary_dilation(grown == junction, structure=np.ones((3, 3)))
        if not (ring[0].any() or ring[-1].any() or ring[:, 0].any() or ring[:, -1].any()):
            degree.append(np.setdiff1d(arms[ring], 0).size)
    assert len(degree) > 20
    assert np.mean(np.array(degree) == 3) > 0.7


def test_sheets_lie_near_the_nucleus() -> None:
    def sample(sheets: float) -> np.ndarray:
        return EndoplasmicReticulum(sheets=sheets)(np.random.default_rng(9), (512, 512), 65).labels > 0

    added = sample(0.9) & ~sample(0.0)
    envelopes = NuclearEnvelopes.draw(np.random.default_rng(9), (512, 512), 34 / 0.065, 7 / 0.065)
    grid = np.arange(512, dtype=np.float32)
    distance_um = envelopes.distance(grid[:, None], grid[None, :]) * 0.065
    assert added.mean() > 0.05
    assert added[(distance_um > 0.3) & (distance_um < 3)].mean() > 3 * added[distance_um > 5].mean()
    assert not added[distance_um > 9.2].any()


def test_distance_to_a_round_nucleus_is_exact() -> None:
    one = NuclearEnvelopes(np.array([[10.0, 20.0]]), np.array([[5.0, 5.0]]), np.array([0.3]))
    np.testing.assert_allclose(one.distance(np.array([10.0, 14.0]), np.array([20.0, 23.0])), [-5, 0], atol=1e-5)
    assert one.outward(10, 30) == 0
    assert one.outward(30, 20) == pytest.approx(np.pi / 2)


def test_painted_tubules_have_their_width_and_no_gaps() -> None:
    for angle in np.linspace(0, np.pi, 13):
        path = wander(np.random.default_rng(0), (60.3, 59.6), angle, 50, 1e9)
        thin = paint((120, 120), path, np.full(len(path), 0.1), np.ones(len(path)))
        assert components(thin > 0).max() == 1
        assert 34 < (thin > 0).sum() <= 2 * 52  # one to two pixels wide, as it lies on the grid
        thick = paint((120, 120), path, np.full(len(path), 4.0), np.ones(len(path)))
        assert (thick > 0).sum() == pytest.approx(8 * 50 + np.pi * 16, rel=0.05)
        assert thick.max() <= 1


def test_a_disk_covers_exactly_the_pixels_whose_centres_it_holds() -> None:
    y, x = np.mgrid[:20, :24]
    centre, radius = (9.3, 11.8), 4.6
    drawn = paint((20, 24), np.array([centre]), np.array([radius]), np.array([0.5]))
    np.testing.assert_array_equal(drawn > 0, np.hypot(y - centre[0], x - centre[1]) < radius)


def test_where_tubules_cross_the_brightest_counts() -> None:
    points = np.array([[10.0, 10.0], [10.0, 11.0]])
    both = paint((20, 20), points, np.array([3.0, 3.0]), np.array([1.0, 2.0]))
    apart = [paint((20, 20), points[k : k + 1], np.array([3.0]), np.array([k + 1.0])) for k in (0, 1)]
    np.testing.assert_array_equal(both, np.maximum(*apart))


def test_arcs_run_from_end_to_end() -> None:
    points, owner = arcs(
        np.zeros((2, 2)), np.array([[0.0, 10.0], [6.0, 8.0]]), np.array([0.2, 0.0]), np.array([1, 0.5])
    )
    np.testing.assert_allclose(points[owner == 0][[0, -1]], [[0, 0], [0, 10]], atol=1e-12)
    assert np.abs(points[owner == 0][:, 0]).max() == pytest.approx(2, rel=0.02)
    assert np.hypot(*points[owner == 1][-1]) == pytest.approx(5, abs=0.5)


@pytest.mark.parametrize("sigma_px", [0.7, 3.0, 25.0])
def test_smooth_noise_has_unit_spread_and_the_scale_asked_for(sigma_px: float) -> None:
    fields = [smooth_noise(np.random.default_rng(seed), (300, 310), sigma_px) for seed in range(12)]
    assert fields[0].shape == (300, 310)
    assert np.std(fields) == pytest.approx(1, rel=0.1)
    shift = max(1, int(sigma_px))
    correlation = np.mean([(f[:, shift:] * f[:, :-shift]).mean() for f in fields])
    assert correlation == pytest.approx(np.exp(-(shift**2) / (4 * sigma_px**2)), abs=0.12)


def test_pieces_by_hand() -> None:
    labels = np.array([[1, 0, 1, 1], [0, 0, 0, 0], [3, 3, 0, 0]], dtype=np.int32)
    np.testing.assert_array_equal(separate_pieces(labels), [[1, 0, 2, 2], [0, 0, 0, 0], [3, 3, 0, 0]])
    np.testing.assert_array_equal(keep_largest_pieces(labels), [[0, 0, 1, 1], [0, 0, 0, 0], [2, 2, 0, 0]])


def test_a_crop_that_cuts_an_object_in_two_makes_it_two() -> None:
    horseshoe = np.zeros((7, 7), dtype=np.int32)
    horseshoe[1:6, 2] = horseshoe[1:6, 4] = horseshoe[1, 2:5] = 1
    sample = Sample(horseshoe, horseshoe.astype(np.float32)).crop(2)
    np.testing.assert_array_equal(sample.labels, [[1, 0, 2]] * 3)
    np.testing.assert_array_equal(sample.density, horseshoe[2:5, 2:5])
