"""What a training step will need, said before it is needed."""

from __future__ import annotations

import copy
from contextlib import AbstractContextManager, nullcontext

import torch

from anyscope.models import Segmenter
from anyscope.training.settings import LearnSettings, TrainSettings
from anyscope.training.tuning_modes import keeping

_STATES = {"adamw": 2, "adam": 2, "sgd": 1}
_TRACED = 2
"""Patches of the step that is traced: layers of normalisation need more than one value."""
_SCRATCH = 64 << 20
"""What libraries hold besides: 50 to 70 MiB in steps of eight networks on the CPU."""


def training_bytes(segmenter: Segmenter, settings: LearnSettings) -> int:
    """Estimate the memory of a training step in bytes, without computing one; the process itself comes on top.

    A forward pass is traced with tensors that have shapes but no values. Counted are what it keeps for the backward
    pass, which is less where an encoder stays as it is, and twice the largest map, for gradients on their way; beside
    them stand the weights, the gradients and the optimiser's moments of what learns, and the moving average. It is that
    of the last epoch, in which most learns, in fp32.

    Args:
        segmenter: The network, on any device.
        settings: Patch, batch, optimiser, moving average, and what learns.

    Raises:
        BadInput: The network cannot be tuned as the settings ask.
    """
    kept: AbstractContextManager[None] = nullcontext()
    if isinstance(settings, TrainSettings):
        kept = keeping(segmenter, settings, settings.epochs - 1)
    with kept:
        learning = sum(each.numel() * each.element_size() for each in segmenter.parameters() if each.requires_grad)
        saved, largest = _traced(segmenter, settings.patch_px)
    weights = sum(each.numel() * each.element_size() for each in segmenter.parameters())
    beside = weights * (1 + (settings.ema > 0)) + learning * (1 + _STATES[settings.optimiser])
    return settings.batch * (saved + 2 * largest) + beside + _SCRATCH


def _traced(segmenter: Segmenter, patch_px: int) -> tuple[int, int]:
    """Bytes that one patch keeps for the backward pass, and those of the largest tensor among them."""
    traced = copy.deepcopy(segmenter).to("meta").train()
    weights = {each.untyped_storage()._cdata for each in traced.state_dict().values()}
    # holding the storages keeps their addresses from being given away again
    seen: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        seen[storage._cdata] = storage
        return tensor

    images = torch.zeros(_TRACED, segmenter.spec.in_channels, patch_px, patch_px, device="meta")
    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = traced(images)
    sizes = [output.untyped_storage().nbytes()]
    sizes += [storage.nbytes() for place, storage in seen.items() if place not in weights]
    return sum(sizes) // _TRACED, max(sizes) // _TRACED
