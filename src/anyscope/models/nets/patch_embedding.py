"""Feature vectors of random places within feature maps, as contrastive losses compare them.

Source: Park et al., ECCV 2020, arXiv 2007.15651, section 3 and appendix C.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from anyscope.models.nets.generators import initialise

_TINY = 1e-7


def draw_places(features: Sequence[torch.Tensor], count: int, random: torch.Generator) -> tuple[torch.Tensor, ...]:
    """Flat indices [P] of different random places of each feature map [B, C, H, W], P = min(count, H W).

    Args:
        features: The maps; only their sizes are used.
        count: How many places of each.
        random: Generator on the CPU.
    """
    places = []
    for each in features:
        area = each.shape[-2] * each.shape[-1]
        places.append(torch.randperm(area, generator=random)[: min(count, area)].to(each.device))
    return tuple(places)


class PatchEmbedding(nn.Module):
    """Unit vectors of places of several feature maps, by a perceptron of two layers for each map.

    Args:
        channels: Channels of every map.
        width: Length of the vectors, and channels between the two layers; 256 as published.
    """

    def __init__(self, channels: Sequence[int], width: int = 256) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(each, width), nn.ReLU(), nn.Linear(width, width)) for each in channels
        )
        initialise(self, "xavier")

    def forward(self, features: Sequence[torch.Tensor], places: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """Vectors [B, P, width] of length 1 of each map [B, C, H, W] at its flat ``places`` [P]."""
        found = []
        for head, each, where in zip(self.heads, features, places, strict=True):
            vectors = head(each.flatten(2)[..., where].transpose(1, 2))
            found.append(vectors / (vectors.norm(dim=-1, keepdim=True) + _TINY))
        return tuple(found)
