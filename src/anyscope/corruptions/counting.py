"""Counts of photons and electrons."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from anyscope.seeding import torch_generator


def poisson_like(images: torch.Tensor, counts: float, seeds: Sequence[int], stream: str) -> torch.Tensor:
    """Poisson numbers of expectation ``counts * images``, for ``images`` [B, ...] in 0..1."""
    device = str(images.device)
    drawn = [
        torch.poisson(image * counts, generator=torch_generator(seed, "corruption", stream, device=device))
        for image, seed in zip(images, seeds, strict=True)
    ]
    return torch.stack(drawn)
