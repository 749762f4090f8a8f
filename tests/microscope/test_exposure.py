"""The signal-to-noise ratio: its definition, and that images have the one asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anyscope.errors import BadInput
from anyscope.microscope import MICROSCOPES, SPECIMENS, Camera, Illumination, expose_to_snr, snr, synthesise
from anyscope.microscope.camera import dark_dn, dn_per_photon, take_image

CAMERAS = {
    "ccd": Camera(gain_e_per_dn=0.5, bits=16),
    "eight bits": Camera(bits=8, offset_dn=8, read_noise_e=24, gain_e_per_dn=24),
    "binned ccd": Camera(binning=2, bits=16),
    "emccd": Camera(kind="emccd", em_gain=200, read_noise_e=50, gain_e_per_dn=20, bits=16, clock_induced_e=0.02),
    "scmos": Camera(
        kind="scmos",
        read_noise_e=1.5,
        gain_e_per_dn=0.46,
        bits=14,
        gain_spread=0.01,
        offset_spread_dn=0.5,
        read_noise_spread=0.3,
        binning=2,
    ),
    "dark": Camera(dark_current_e_per_s=500, exposure_s=0.2, bits=16),
}


def disks(shape: tuple[int, int] = (128, 128), background: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    """Flat objects on a flat background: relative signal and foreground."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    foreground = (y % 32 - 16) ** 2 + (x % 32 - 16) ** 2 < 80
    return (foreground + background).astype(np.float32), foreground


def test_definition_by_hand() -> None:
    image = np.array([[10, 12, 14, 30, 34]])
    foreground = image > 20
    assert snr(image, foreground, ~foreground) == pytest.approx((32 - 12) / np.std([10, 12, 14]))
    expected = np.array([[11, 12, 13, 0, 0]])
    assert snr(image, foreground, ~foreground, expected) == pytest.approx((32 - 12) / np.std([-1, 0, 1]))


def test_noise_free_background_and_empty_masks() -> None:
    image = np.array([[1.0, 5.0]])
    assert snr(image, image > 2, image < 2) == np.inf
    with pytest.raises(BadInput, match="no background"):
        snr(image, image > 0, image < 0)


@pytest.mark.parametrize("specimen", list(SPECIMENS))
@settings(max_examples=10, deadline=None)
@given(
    target=st.floats(1.5, 30),
    camera=st.sampled_from(sorted(CAMERAS)),
    seed=st.integers(0, 10**6),
)
def test_measured_snr_is_the_one_asked_for(specimen: str, target: float, camera: str, seed: int) -> None:
    microscope_settings = MICROSCOPES["reference"].settings(specimen).changed(snr=target, camera=CAMERAS[camera])
    result = synthesise(specimen, microscope_settings, seed, 0, (96, 96))
    foreground = result.labels > 0
    # Measured here from the image and the stored noise-free signal alone, not with the record.
    expected = result.signal * dn_per_photon(CAMERAS[camera]) + dark_dn(CAMERAS[camera])
    noise = (result.image - expected)[~foreground].std()
    measured = (result.image[foreground].mean() - result.image[~foreground].mean()) / noise
    assert measured == pytest.approx(target, rel=0.02)
    assert result.record["snr"]["measured"] == pytest.approx(measured, rel=1e-3)


@pytest.mark.parametrize("target", [1.5, 8.0, 30.0])
def test_two_exposures_of_one_scene_confirm_the_noise(target: float) -> None:
    camera = CAMERAS["ccd"]
    base = MICROSCOPES["reference"].settings("nuclei")
    first = synthesise("nuclei", base.changed(snr=target, camera=camera), 3, 0, (384, 384))
    second = take_image(camera, first.signal, np.random.default_rng(99)).astype(float)
    background = first.labels == 0
    # The difference of two frames has twice the variance of the noise and none of the structure.
    noise = (first.image - second)[background].std() / np.sqrt(2)
    contrast = second[~background].mean() - second[background].mean()
    assert contrast / noise == pytest.approx(target, rel=0.02)


@pytest.mark.parametrize("target", [2.0, 10.0])
def test_on_a_flat_background_the_plain_ratio_is_the_same(target: float) -> None:
    relative, foreground = disks()
    camera = CAMERAS["ccd"]
    exposure = expose_to_snr(camera, relative, foreground, target, np.random.default_rng(0))
    assert snr(exposure.image, foreground, ~foreground) == pytest.approx(target, rel=2e-3)
    assert exposure.snr == pytest.approx(target, rel=1e-3)


def test_structure_lowers_only_the_plain_ratio() -> None:
    hazy = (
        MICROSCOPES["reference"].settings("nuclei").changed(illumination=Illumination(haze=1.0, haze_um=5, falloff=0.5))
    )
    record = synthesise("nuclei", hazy, 0, 0, (256, 256)).record["snr"]
    assert record["measured"] == pytest.approx(8, rel=0.01)
    assert record["with_structure"] < 6.5


@pytest.mark.parametrize("name", ["ccd", "emccd"])
def test_the_search_leaves_the_statistics_of_the_noise_alone(name: str) -> None:
    camera = CAMERAS[name].changed(read_noise_e=0, clock_induced_e=0, dark_current_e_per_s=0)
    relative, foreground = disks((256, 256), background=0.5)
    excess = 2.0 if camera.kind == "emccd" else 1.0
    per_electron = camera.em_gain / camera.gain_e_per_dn
    for seed in range(3):
        exposure = expose_to_snr(camera, relative, foreground, 6.0, np.random.default_rng(seed))
        electrons = exposure.light * camera.quantum_efficiency * (relative[foreground].mean())
        bright = exposure.image[foreground].astype(float)
        assert bright.mean() == pytest.approx(camera.offset_dn + electrons * per_electron, rel=0.01)
        assert bright.var() == pytest.approx(excess * electrons * per_electron**2, rel=0.06)


def test_an_snr_out_of_reach_says_why() -> None:
    relative, foreground = disks()
    with pytest.raises(BadInput, match=r"snr 500: more light .* raise full_well_e"):
        expose_to_snr(Camera(bits=8, offset_dn=10), relative, foreground, 500.0, np.random.default_rng(0))
    with pytest.raises(BadInput, match="not brighter"):
        expose_to_snr(Camera(), np.ones_like(relative), foreground, 5.0, np.random.default_rng(0))
    with pytest.raises(BadInput, match="no background"):
        expose_to_snr(Camera(), relative, np.ones_like(foreground), 5.0, np.random.default_rng(0))


@pytest.mark.parametrize(("specimen", "target"), [("nuclei", 3.0), ("nuclei", 8.0), ("mitochondria", 4.0), ("er", 3.0)])
def test_the_plain_ratio_can_be_asked_for_too(specimen: str, target: float) -> None:
    chosen = MICROSCOPES["reference"].settings(specimen).changed(snr=target, snr_sigma="background")
    made = synthesise(specimen, chosen, seed=3, index=0, shape=(192, 192))
    inside = made.labels > 0
    outside = made.image[~inside].astype(float)
    assert (made.image[inside].mean() - outside.mean()) / outside.std() == pytest.approx(target, rel=0.02)


def test_structure_bounds_the_plain_ratio() -> None:
    chosen = MICROSCOPES["reference"].settings("er").changed(snr=30, snr_sigma="background")
    with pytest.raises(BadInput, match=r"the image has .*lower the background, the haze or the SNR"):
        synthesise("er", chosen, seed=3, index=0, shape=(128, 128))
