"""Volumes whose maps are known, and what a folder holds, byte by byte."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

from anyscope.images import write_image
from anyscope.models import Segmenter, SegmenterSpec, build_segmenter, save_segmenter
from anyscope.volumes.plan import VolumePlan
from tests.inference.networks import Pixelwise


def digest(folder: Path) -> str:
    """All names and bytes below a folder."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            found.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def noise(shape, sigma=2.0, seed=0):
    """Smooth noise, uint8: its upper half is a tangle of regions that cross everything."""
    values = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), sigma)
    return ((values - values.min()) / np.ptp(values) * 255).astype(np.uint8)


def pixelwise(heads=("mask",), decoder=None, **given) -> Pixelwise:
    """A network whose maps are the channels of its image: logits -4 to 4."""
    offsets = given.get("offsets", ())
    channels = len(heads) + (len(offsets) - 1 if offsets else 0)
    spec = {"model": "unet", "task": "instances", "heads": heads, "channels": channels, "intensity": {"kind": "dtype"}}
    network = Pixelwise(SegmenterSpec.model_validate(spec | {"decoder": decoder} | given))
    network.mean = torch.zeros(1)
    return network.eval()


@pytest.fixture
def use_network(monkeypatch):
    """Workers of this process take this network instead of loading one."""

    def use(network):
        def load(plan):
            network.spec = plan.segmenter_spec
            return network

        monkeypatch.setattr(VolumePlan, "load", load)

    return use


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory) -> Path:
    """A saved network with random weights, whose threshold makes objects of half of the volume ``noisy``."""
    return save_tiny(tmp_path_factory.mktemp("tiny") / "segmenter", neighbours=1)


def save_tiny(path: Path, **given) -> Path:
    """Save the smallest U-Net with plain components as its decoder."""
    decoder = {"name": "components", "parameters": {"dimensions": 3, "threshold": 0.5, "min_size_px": 5}}
    spec = {"model": "unet_simple", "arguments": {"filters": [4, 8]}, "task": "instances", "decoder": decoder}
    segmenter: Segmenter = build_segmenter(SegmenterSpec.model_validate(spec | given), 0)
    with torch.no_grad():
        last = [module for module in segmenter.modules() if isinstance(module, torch.nn.Conv2d)][-1]
        last.bias.zero_()
    save_segmenter(segmenter, path)
    return path


@pytest.fixture(scope="session")
def noisy(tmp_path_factory) -> Path:
    """A volume (12, 90, 70) as OME-Zarr."""
    path = tmp_path_factory.mktemp("noisy") / "volume.ome.zarr"
    write_image(path, noise((12, 90, 70))[None])
    return path
