"""From logits to maps."""

from __future__ import annotations

import torch

from anyscope.contracts import HEADS, HeadLayout


def activate(logits: torch.Tensor, layout: HeadLayout) -> torch.Tensor:
    """Activated maps of logits [B, K, H, W]: sigmoid, tanh, or softmax for a mask of more than two classes."""
    maps = torch.empty_like(logits)
    for head, part in layout.logits.items():
        values = logits[:, part]
        if layout.has_classes(head):
            maps[:, part] = torch.softmax(values, dim=1)
        else:
            maps[:, part] = torch.sigmoid(values) if HEADS[head].activation == "sigmoid" else torch.tanh(values)
    return maps
