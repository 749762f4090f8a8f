"""The estimate of memory against what a step takes in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from anyscope.models import SegmenterSpec, build_segmenter
from anyscope.training.memory import _SCRATCH, training_bytes
from anyscope.training.pretraining import pretrain_settings
from anyscope.training.settings import train_settings


def network(model="unet_small", **arguments):
    return build_segmenter(SegmenterSpec(model=model, task="semantic", arguments=arguments), 0)


STEP = """
import sys, torch
from anyscope.models import SegmenterSpec, build_segmenter
from anyscope.training.optimisation import make_average, make_optimiser
from anyscope.training.settings import train_settings
from anyscope.training.tuning_modes import keeping

torch.set_num_threads(1)

def now(key):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(key))

def steps(model, settings, **arguments):
    network = build_segmenter(SegmenterSpec(model=model, task="semantic", arguments=arguments), 0)
    network = network.to(memory_format=torch.channels_last).train()
    average = make_average(network, 0.9)
    with keeping(network, settings, 0):
        optimiser = make_optimiser(network.parameters(), settings)
        for _ in range(2):
            optimiser.zero_grad(set_to_none=True)
            network(torch.rand(settings.batch, 1, settings.patch_px, settings.patch_px)).square().mean().backward()
            optimiser.step()
        average.update_parameters(network)

steps("unet_simple", train_settings(patch_px=16), filters=[4, 8])  # libraries are loaded with the first step
for tune in ("frozen", "full"):
    before = now("VmRSS")
    open("/proc/self/clear_refs", "w").write("5")
    steps("unet_small", train_settings(tune=tune))
    print(now("VmHWM") - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured by Linux")
def test_the_estimate_is_what_a_step_takes():
    found = subprocess.run([sys.executable, "-c", STEP], capture_output=True, text=True, check=True)
    frozen, full = (int(line) for line in found.stdout.split())
    for tune, measured in (("frozen", frozen), ("full", full)):
        estimated = training_bytes(network(), train_settings(tune=tune))
        assert 0.5 < estimated / measured < 2, (tune, estimated, measured)


def test_the_maps_of_two_convolutions_by_hand():
    segmenter = network("unet_simple", filters=[4, 8])
    segmenter.net = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 1, 1))
    weights = 4 * (8 * 9 + 8 + 8 + 1)
    settings = train_settings(batch=3, patch_px=32, ema=0, optimiser="sgd")
    # kept: the normalised image for the first convolution, what left the ReLU for both it and the second convolution,
    # and the logits; division by the deviations keeps nothing, since these learn nothing
    maps = 4 * 32 * 32 * (1 + 8 + 1)
    largest = 4 * 32 * 32 * 8
    assert training_bytes(segmenter, settings) == 3 * (maps + 2 * largest) + weights * 3 + _SCRATCH


def test_it_follows_batch_optimiser_average_and_what_learns():
    segmenter = network(filters=[8, 16, 32])

    def needed(**changes):
        return training_bytes(segmenter, train_settings(**{"patch_px": 64, **changes}))

    assert needed(batch=8) > needed(batch=4) > needed(batch=4, tune="frozen")
    assert needed(tune="decoder-first") == needed()
    weights = sum(each.numel() * 4 for each in segmenter.parameters())
    assert needed() - needed(ema=0) == weights
    assert needed() - needed(optimiser="sgd") == weights
    assert needed(patch_px=128) > 2 * (needed() - _SCRATCH)
    assert all(each.requires_grad for each in segmenter.parameters())
    assert not segmenter.mean.is_meta


def test_the_estimate_leaves_random_numbers_and_statistics_alone():
    segmenter = network("attention_unet", filters=[4, 8], dropout=0.5)
    before = {key: value.clone() for key, value in segmenter.state_dict().items()}
    state = torch.random.get_rng_state()
    training_bytes(segmenter, pretrain_settings(patch_px=32))
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(value, before[key]) for key, value in segmenter.state_dict().items())
