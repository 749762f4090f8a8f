"""What a training step will need, said before it is needed."""

from __future__ import annotations

from typing import Any

import torch

from anyscope.models import Segmenter
from anyscope.training.settings import LearnSettings

_STATES = {"adamw": 2, "adam": 2, "sgd": 1}


def training_bytes(segmenter: Segmenter, settings: LearnSettings) -> int:
    """Estimate the memory of a training step in bytes.

    The outputs of all layers are kept for the backward pass, and about as much again lives while gradients are passed
    back; beside them stand weights, gradients, the optimiser's moments and the moving average. Outputs are measured by
    a forward pass of one small patch, and scaled.

    Args:
        segmenter: The network, on any device.
        settings: Patch, batch, optimiser and moving average.
    """
    edge = min(settings.patch_px, max(64, 2 * segmenter.stride))
    kept = 0

    def count(_module: torch.nn.Module, _inputs: Any, output: Any) -> None:
        nonlocal kept
        if isinstance(output, torch.Tensor):
            kept += output.numel() * output.element_size()

    leaves = [module for module in segmenter.modules() if not list(module.children())]
    hooks = [module.register_forward_hook(count) for module in leaves]
    training = segmenter.training
    try:
        segmenter.eval()
        with torch.inference_mode():
            device = next(segmenter.parameters()).device
            segmenter(torch.zeros(1, segmenter.spec.in_channels, edge, edge, device=device))
    finally:
        segmenter.train(training)
        for hook in hooks:
            hook.remove()
    maps = 2 * kept * settings.batch * (settings.patch_px / edge) ** 2
    weights = sum(parameter.numel() * parameter.element_size() for parameter in segmenter.parameters())
    return int(maps + weights * (2 + _STATES[settings.optimiser] + (settings.ema > 0)))
