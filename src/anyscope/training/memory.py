"""What a training step will need, said before it is needed."""

from __future__ import annotations

from copy import deepcopy

import torch

from anyscope.inference.footprint import WORKSPACE, MemoryTrace
from anyscope.models import Segmenter
from anyscope.training.settings import LearnSettings
from anyscope.training.tuning_modes import keeping

_STATES = {"adamw": 2, "adam": 2, "sgd": 1}


def training_bytes(segmenter: Segmenter, settings: LearnSettings) -> int:
    """Estimate the memory of a training step in bytes, without computing one; the process itself comes on top.

        WORKSPACE * batch * peak of a step with one patch + weights * (1 + average) + gradients * (1 + states)

    A step with one patch of the true size is followed without computing it (torch's meta device): what is kept for the
    backward pass, which is less where an encoder stays as it is, what checkpoints compute again, tables of attention,
    which grow with the square of the pixels, and what lives while gradients are passed back. It is the step of the last
    epoch, in which most learns, in fp32.

    Args:
        segmenter: The network, on any device; nothing of it changes.
        settings: Patch, batch, optimiser, moving average, and what learns.

    Raises:
        BadInput: The network cannot be tuned as the settings ask.
    """
    with keeping(segmenter, settings, settings.epochs - 1):
        learning = [parameter.requires_grad for parameter in segmenter.parameters()]
        probe = deepcopy(segmenter).to("meta").train()
    trained = [parameter for parameter, learns in zip(probe.parameters(), learning, strict=True) if learns]
    gradients = [torch.zeros_like(parameter) for parameter in trained]
    for parameter, gradient in zip(trained, gradients, strict=True):
        parameter.grad = gradient  # there before, so that they do not count for every patch of the batch
    known = [*probe.parameters(), *probe.buffers(), *gradients]
    shape = (1, segmenter.spec.in_channels, settings.patch_px, settings.patch_px)
    with torch.enable_grad(), MemoryTrace(known) as trace:
        logits, auxiliary = probe(torch.zeros(shape, device="meta"), auxiliary=True)
        sum((each.square().mean() for _, each in auxiliary), logits.square().mean()).backward()
    weights = sum(parameter.nbytes for parameter in probe.parameters())
    learned = sum(gradient.nbytes for gradient in gradients)
    held = weights * (1 + (settings.ema > 0)) + learned * (1 + _STATES[settings.optimiser])
    return int(WORKSPACE * settings.batch * trace.peak() + held)
