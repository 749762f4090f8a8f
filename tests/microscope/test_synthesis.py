"""Whole synthetic images: determinism, truth, record."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from pydantic import ValidationError

from anyscope.errors import BadInput
from anyscope.microscope import MICROSCOPES, SPECIMENS, Camera, MicroscopeSettings, SyntheticImage, synthesise
from anyscope.microscope.camera import dark_dn, dn_per_photon
from anyscope.microscope.specimens import Nuclei

SHAPE = (96, 128)


def take(specimen: str, microscope: str = "reference", seed: int = 0, index: int = 0) -> SyntheticImage:
    return synthesise(specimen, MICROSCOPES[microscope].settings(specimen), seed, index, SHAPE)


@pytest.mark.parametrize("microscope", list(MICROSCOPES))
@pytest.mark.parametrize("specimen", list(SPECIMENS))
def test_same_seed_same_bytes_and_another_seed_another_image(specimen: str, microscope: str) -> None:
    first, again = take(specimen, microscope), take(specimen, microscope)
    for name in ("image", "labels", "signal"):
        assert getattr(first, name).tobytes() == getattr(again, name).tobytes()
    assert first.record == again.record
    for other in (take(specimen, microscope, seed=1), take(specimen, microscope, index=1)):
        assert (first.labels != other.labels).any()
        assert (first.image != other.image).mean() > 0.5


@pytest.mark.parametrize("microscope", list(MICROSCOPES))
@pytest.mark.parametrize("specimen", list(SPECIMENS))
def test_shapes_types_truth_and_record(specimen: str, microscope: str) -> None:
    result = take(specimen, microscope)
    assert result.image.shape == result.labels.shape == result.signal.shape == SHAPE
    assert (result.image.dtype, result.labels.dtype, result.signal.dtype) == (np.uint16, np.uint16, np.float32)
    ids = np.unique(result.labels)
    assert ids.tolist() == list(range(result.record["objects"] + 1))
    assert result.signal[result.labels > 0].mean() > 1.2 * result.signal[result.labels == 0].mean()
    assert json.loads(json.dumps(result.record, allow_nan=False)) == result.record
    wanted = MICROSCOPES[microscope].snr
    assert result.record["snr"]["requested"] == wanted
    assert result.record["snr"]["measured"] == pytest.approx(wanted, rel=0.02)


@pytest.mark.parametrize("specimen", list(SPECIMENS))
def test_one_seed_shows_one_specimen_through_different_optics_and_cameras(specimen: str) -> None:
    sharp = MICROSCOPES["reference"].settings(specimen)
    blurred = sharp.changed(optics=sharp.optics.changed(defocus_um=1.5), snr=3.0, camera=Camera())
    first, second = (synthesise(specimen, settings, 0, 0, SHAPE) for settings in (sharp, blurred))
    np.testing.assert_array_equal(first.labels, second.labels)
    contrasts = [r.signal[r.labels > 0].mean() / r.signal[r.labels == 0].mean() for r in (first, second)]
    assert contrasts[0] > contrasts[1]


@pytest.mark.parametrize("photons", [5.0, 400.0])
def test_the_amount_of_light_can_be_given_instead_of_the_snr(photons: float) -> None:
    settings = MICROSCOPES["reference"].settings("nuclei").changed(snr=None, photons=photons)
    result = synthesise("nuclei", settings, 0, 0, SHAPE)
    assert result.signal[result.labels > 0].mean() == pytest.approx(photons, rel=1e-4)
    assert result.record["photons"]["foreground_mean"] == pytest.approx(photons, rel=1e-4)
    expected = photons * dn_per_photon(settings.camera) + dark_dn(settings.camera)
    assert result.image[result.labels > 0].mean() == pytest.approx(expected, rel=0.02)
    assert result.record["snr"]["requested"] is None
    assert result.record["snr"]["measured"] > 0


def test_binned_images_have_labels_of_their_own_size() -> None:
    settings = MICROSCOPES["reference"].settings("nuclei").changed(camera=Camera(binning=2, bits=16))
    result = synthesise("nuclei", settings, 0, 0, SHAPE)
    assert result.image.shape == result.labels.shape == result.signal.shape == SHAPE
    assert result.record["pixel_size_nm"] == 650
    assert result.record["photons"]["foreground_mean"] > 2 * result.record["photons"]["background_mean"]


def test_a_specimen_may_have_parameters_of_its_own() -> None:
    settings = MICROSCOPES["reference"].settings("nuclei")
    sparse = synthesise(Nuclei(per_mm2=300), settings, 0, 0, (256, 256)).record
    dense = synthesise(Nuclei(per_mm2=5000), settings, 0, 0, (256, 256)).record
    assert sparse["specimen"]["name"] == "nuclei"
    assert sparse["specimen"]["per_mm2"] == 300
    assert sparse["objects"] < dense["objects"]


def test_small_fields_are_never_empty() -> None:
    settings = MICROSCOPES["reference"].settings("mitochondria")
    records = [synthesise("mitochondria", settings, 0, index, (48, 48)).record for index in range(40)]
    assert min(record["foreground_fraction"] for record in records) >= 0.005
    assert max(record["attempt"] for record in records) > 0


def test_microscopes_differ_and_survive_a_round_trip() -> None:
    for name in MICROSCOPES:
        for specimen in SPECIMENS:
            settings = MICROSCOPES[name].settings(specimen)
            assert MicroscopeSettings.model_validate(settings.model_dump(mode="json")) == settings
    reference, shifted = (MICROSCOPES[name].settings("nuclei") for name in ("reference", "shifted"))
    for part in ("optics", "illumination", "camera", "snr"):
        assert getattr(reference, part) != getattr(shifted, part)


@pytest.mark.parametrize("values", [{"snr": 8, "photons": 10}, {"snr": None}, {"snr": 0}, {"exposure": 1}])
def test_inconsistent_settings_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        MicroscopeSettings(**values)


def test_import_is_light() -> None:
    heavy = ["torch", "skimage", "matplotlib", "numba", "scipy.signal", "scipy.ndimage"]
    code = f"import sys, anyscope.microscope; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_unknown_specimen_lists_the_valid_ones() -> None:
    with pytest.raises(BadInput, match="one of nuclei, er, mitochondria"):
        synthesise("nucleus", MICROSCOPES["reference"].settings("nuclei"), 0, 0)


@pytest.mark.parametrize("shape", [(8, 64), (64, 100000), (64, 64, 64)])
def test_impossible_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(BadInput, match="lengths"):
        synthesise("nuclei", MICROSCOPES["reference"].settings("nuclei"), 0, 0, shape)  # type: ignore[arg-type]
