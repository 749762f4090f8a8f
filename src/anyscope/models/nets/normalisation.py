"""Normalisation layers by name."""

from __future__ import annotations

from math import gcd
from typing import Literal

import torch
from torch import nn

Norm = Literal["batch", "group", "none"]


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation that also trains where a batch holds a single value per channel.

    One image pooled to 1 x 1 has no variance to normalise by, and torch refuses it. Such a layer then uses its running
    statistics, as in evaluation, and leaves them as they are.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise ``x`` [B, C, H, W]."""
        if self.training and x.numel() == x.shape[1]:
            return nn.functional.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
            )
        return super().forward(x)


def norm_layer(name: Norm, channels: int) -> nn.Module:
    """The layer called ``name`` for ``channels`` channels (``group``: 8 groups where they divide evenly)."""
    if name == "batch":
        return BatchNorm(channels)
    if name == "group":
        return nn.GroupNorm(gcd(8, channels), channels)
    return nn.Identity()


def tolerate_single_values(net: nn.Module) -> None:
    """Replace every plain batch normalisation inside ``net`` by :class:`BatchNorm`, its state unchanged."""
    for parent in list(net.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.BatchNorm2d:
                layer = BatchNorm(
                    child.num_features, child.eps, child.momentum, child.affine, child.track_running_stats
                )
                layer.load_state_dict(child.state_dict())
                setattr(parent, name, layer)
