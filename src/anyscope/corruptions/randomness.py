"""Random numbers that belong to an image, not to its place in a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from anyscope.seeding import torch_generator

Draw = Callable[[torch.Generator], torch.Tensor]


def draw_per_image(seeds: Sequence[int], stream: str, device: torch.device, draw: Draw) -> torch.Tensor:
    """What ``draw`` returns for the generator of every image, stacked along a first axis.

    Args:
        seeds: One for each image.
        stream: What the numbers are for. It does not name the severity, so that one image has the same pattern, only
            stronger, at all of them.
        device: Where the numbers are drawn.
        draw: Called with a generator; returns tensors of one shape.
    """
    return torch.stack([draw(torch_generator(seed, "corruption", stream, device=str(device))) for seed in seeds])


def normal_like(images: torch.Tensor, seeds: Sequence[int], stream: str) -> torch.Tensor:
    """Standard normal numbers of the shape of ``images`` [B, ...]."""
    shape, device = images.shape[1:], images.device
    return draw_per_image(
        seeds, stream, device, lambda random: torch.randn(shape, generator=random, device=device, dtype=images.dtype)
    )


def uniform_like(images: torch.Tensor, seeds: Sequence[int], stream: str) -> torch.Tensor:
    """Numbers evenly from 0..1 of the shape of ``images`` [B, ...]."""
    shape, device = images.shape[1:], images.device
    return draw_per_image(
        seeds, stream, device, lambda random: torch.rand(shape, generator=random, device=device, dtype=images.dtype)
    )


def uniform_numbers(
    seeds: Sequence[int], stream: str, count: int, low: float, high: float, device: torch.device
) -> torch.Tensor:
    """``count`` numbers evenly from ``low`` to ``high`` for every image: [B, count]. Drawn on the CPU, so that the same
    numbers come out wherever the images are."""
    cpu = torch.device("cpu")
    drawn = draw_per_image(seeds, stream, cpu, lambda random: torch.rand(count, generator=random))
    return (low + (high - low) * drawn).to(device)
