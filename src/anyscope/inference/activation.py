"""From logits to maps."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from anyscope.contracts import HEADS, head_channels


def activate(logits: torch.Tensor, heads: Sequence[str], classes: int) -> torch.Tensor:
    """Activated maps of logits [B, K, H, W]: sigmoid, tanh, or softmax for a mask of more than two classes."""
    maps = torch.empty_like(logits)
    for head, part in head_channels(heads, classes).items():
        values = logits[:, part]
        if part.stop - part.start > 1:
            maps[:, part] = torch.softmax(values, dim=1)
        else:
            maps[:, part] = torch.sigmoid(values) if HEADS[head].activation == "sigmoid" else torch.tanh(values)
    return maps
