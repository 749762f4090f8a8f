"""Real images: every folder opens and passes its check; the slow ones train, as docs/results.md says."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.measure import label
from skimage.metrics import adapted_rand_error

import anyscope
from anyscope.datasets import open_dataset
from anyscope.images import Intensity
from anyscope.instances import build_linker
from anyscope.training.settings import train_settings

FOLDERS = [
    "em-mitochondria/vnc",
    "em-mitochondria/lucchi",
    "em-mitochondria/fafb",
    "em-neurites/isbi2012",
    "em-neurites/flyem",
    "nuclei-brightfield/dsb2018",
    "cells-dic/ctc-hela",
]


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_folder_opens(real_data, folder):
    dataset = open_dataset(real_data / folder)
    for part, regions in dataset.split.items():
        if regions:
            assert dataset.labelled(part)[0].read_labels().any()
    unit = dataset.labelled("train")[0].read_unit(Intensity())
    assert unit.min() == 0
    assert unit.max() == 1


@pytest.mark.parametrize("folder", ["em-mitochondria/lucchi", "nuclei-brightfield/dsb2018"])
def test_nothing_looks_wrong(real_data, folder):
    findings = anyscope.data_check(real_data / folder)
    assert [finding for finding in findings if finding.verdict == "bad"] == []


@pytest.mark.parametrize("linker", ["overlap", "multicut"])
def test_slices_of_neurites_are_linked_again(real_data, linker):
    """What each slice shows is perfect, and only which of it belongs together is to be found."""
    (region,) = open_dataset(real_data / "em-neurites" / "flyem").labelled("val")
    reference = label(region.read_labels(), connectivity=1)
    slices = np.stack([label(plane, connectivity=1) for plane in reference])
    error = adapted_rand_error(reference, build_linker(linker)(slices), ignore_labels=(0,))[0]
    print(f"{linker}: {error:.4f}")
    assert error < 0.005


@pytest.mark.slow
def test_nuclei_as_masks(real_data, tmp_path):
    data = real_data / "nuclei-fluorescence" / "dsb2018"
    settings = train_settings(patch_px=128, batch=8, epochs=20, steps_per_epoch=20)
    result = anyscope.train(data, tmp_path / "run", settings=settings)
    assert result.test["n"] == 70
    assert result.test["scores"]["foreground_iou"] >= 0.85


@pytest.mark.slow
def test_nuclei_as_objects(real_data, tmp_path):
    data = real_data / "nuclei-fluorescence" / "dsb2018"
    result = anyscope.train(data, tmp_path / "run", settings=train_settings(task="instances"))
    assert result.test["mean"]["accuracy_50"] >= 0.75


@pytest.mark.slow
def test_mitochondria_in_electron_microscopy(real_data, tmp_path):
    data = real_data / "em-mitochondria" / "vnc"
    settings = train_settings(pixel_size_nm=9.2, augmentation={"angle_degrees": 180})
    result = anyscope.train(data, tmp_path / "run", settings=settings)
    assert result.test["scores"]["foreground_iou"] >= 0.80
