from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from anyscope.errors import BadInput
from anyscope.inference import InferenceSettings, estimate_memory
from anyscope.instances import Components, Decoding, Threshold, Watershed
from anyscope.volumes.decoding import for_blocks
from anyscope.volumes.sizing import PROCESS_BYTES, size_blocks
from tests.inference.networks import random_unet

GIB = 1 << 30


def size(decoding, memory, shape=(400, 3000, 3000), network=None, **given):
    image = SimpleNamespace(shape=(1, *shape), dtype=np.dtype(np.uint8))
    network = network or random_unet(2, task="instances", heads=("mask",))
    pixel_size = given.pop("pixel_size_nm", None)
    return size_blocks(network, image, decoding, InferenceSettings(), pixel_size_nm=pixel_size, memory=memory, **given)


def test_more_memory_is_fewer_pixels_predicted_twice():
    plain = for_blocks(Decoding(Components(dimensions=3)), "instances")
    found = [size(plain, memory) for memory in (GIB, 2 * GIB, 8 * GIB)]
    for memory, one in zip((GIB, 2 * GIB, 8 * GIB), found, strict=True):
        assert PROCESS_BYTES < one.memory <= memory
        assert one.exact
        assert one.grid.overlap == (0, 0, 0)
    assert found[0].predicted >= found[1].predicted >= found[2].predicted
    with pytest.raises(BadInput, match="--memory"):
        size(plain, PROCESS_BYTES + 1000)


def test_only_decoders_that_must_recognise_objects_have_an_overlap():
    deep = for_blocks(Decoding(Watershed(dimensions=3, anisotropy=8.0)), "instances")
    flat = for_blocks(Decoding(Watershed(dimensions=2)), "instances")
    assert size(deep, 2 * GIB).grid.overlap == (4, 32, 32)
    assert size(flat, 2 * GIB).grid.overlap == (0, 32, 32)
    assert size(deep, 2 * GIB, overlap=(2, 8, 8)).grid.overlap == (2, 8, 8)
    assert size(for_blocks(Decoding(Threshold()), "semantic"), 2 * GIB).grid.overlap == (0, 0, 0)


@pytest.mark.parametrize("mebibytes", [720, 800, 1100])
def test_the_largest_block_fits_as_well_as_the_first(mebibytes):
    """A block with others on all sides reads more than one in a corner."""
    network = random_unet(3, task="instances", heads=("mask", "boundary"), neighbours=1)
    deep = for_blocks(Decoding(Watershed(dimensions=3)), "instances")
    found = size(deep, mebibytes << 20, shape=(120, 400, 400), network=network)
    assert len(found.grid) > 1
    settings = InferenceSettings(memory_bytes=found.network)
    for block in found.grid.blocks():
        needed = estimate_memory(network, (1, *block.read.shape), settings, None)
        assert needed.image + needed.maps + needed.slices + needed.forward <= found.network


def test_neighbouring_slices_and_resampling_are_context():
    plain = for_blocks(Decoding(Components(dimensions=3)), "instances")
    network = random_unet(2, task="instances", heads=("mask",), neighbours=2, pixel_size_nm=16.0)
    found = size(plain, 2 * GIB, network=network, pixel_size_nm=8.0)
    assert found.grid.context[0] == 2
    assert found.grid.context[1] >= network.receptive_field() - 1  # half of it, of pixels half as large
    assert not found.exact
