"""The ball around an image: its projection, steps in it, and points in it."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from anyscope.attacks.attack import Norm
from anyscope.seeding import torch_generator

_HALVINGS = 40
_FAR = 1000.0


def size_of(change: torch.Tensor, norm: Norm) -> torch.Tensor:
    """The norm [B] of every image of a change [B, C, H, W]."""
    flat = change.flatten(1)
    return flat.abs().amax(dim=1) if norm == "linf" else flat.norm(dim=1)


def project(images: torch.Tensor, originals: torch.Tensor, epsilon: float, norm: Norm) -> torch.Tensor:
    """The point nearest to every image (in the Euclidean sense) among those in the ball and in 0..1.

    For ``l2`` that point is ``clamp(original + t * change)`` with the largest t <= 1 that stays in the ball (from the
    Karush-Kuhn-Tucker conditions); t is found by halving and taken from the inner side. Scaling first and clamping
    afterwards would also stay inside, but give away length wherever the clamp cuts.

    Args:
        images: [B, C, H, W], anywhere.
        originals: [B, C, H, W] in 0..1, the centres.
        epsilon: Radius of the ball.
        norm: Its norm.
    """
    if norm == "linf":
        lowest, highest = (originals - epsilon).clamp(min=0), (originals + epsilon).clamp(max=1)
        return images.clamp(lowest, highest)
    change = images - originals
    inner = torch.zeros((len(images), 1, 1, 1), dtype=images.dtype, device=images.device)
    outer = torch.ones_like(inner)
    whole = size_of(images.clamp(0, 1) - originals, norm).view_as(inner) <= epsilon
    for _ in range(_HALVINGS):
        middle = (inner + outer) / 2
        inside = size_of((originals + middle * change).clamp(0, 1) - originals, norm).view_as(inner) <= epsilon
        inner, outer = torch.where(inside, middle, inner), torch.where(inside, outer, middle)
    return (originals + torch.where(whole, torch.ones_like(inner), inner) * change).clamp(0, 1)


def steepest(gradient: torch.Tensor, norm: Norm) -> torch.Tensor:
    """The direction [B, C, H, W] of norm 1 in which a function with this gradient grows fastest; 0 where it is 0."""
    if norm == "linf":
        return gradient.sign()
    # By the largest entry first: squares of tiny gradients would underflow.
    tiny = torch.finfo(gradient.dtype).tiny
    shape = (-1, 1, 1, 1)
    scaled = gradient / size_of(gradient, "linf").clamp(min=tiny).view(shape)
    return scaled / size_of(scaled, "l2").clamp(min=tiny).view(shape)


def random_point(originals: torch.Tensor, epsilon: float, norm: Norm, seeds: Sequence[int], name: str) -> torch.Tensor:
    """A point [B, C, H, W] evenly drawn from the ball around every image, then brought into 0..1.

    Drawn on the CPU, so that an attack starts at the same place wherever the network is.

    Args:
        originals: [B, C, H, W] in 0..1.
        epsilon: Radius of the ball.
        norm: Its norm.
        seeds: One for each image.
        name: What the numbers are for. It does not name the radius: larger balls start in the same direction.
    """
    shape = originals.shape[1:]
    changes = []
    for seed in seeds:
        random = torch_generator(seed, "attack", name)
        if norm == "linf":
            changes.append(2 * torch.rand(shape, generator=random) - 1)
        else:
            direction = torch.randn(shape, generator=random)
            radius = torch.rand((), generator=random) ** (1 / direction.numel())
            changes.append(direction / direction.norm() * radius)
    return project(originals + epsilon * _stack(changes, originals), originals, epsilon, norm)


def random_corner(originals: torch.Tensor, epsilon: float, norm: Norm, seeds: Sequence[int], name: str) -> torch.Tensor:
    """A random point [B, C, H, W] at the rim of the ball around every image.

    ``linf``: every pixel moves up or down by the radius, as far as 0..1 allows. ``l2``: a random direction, followed
    until the change within 0..1 is as long as the radius, if it ever is.

    Args:
        originals: [B, C, H, W] in 0..1.
        epsilon: Radius of the ball.
        norm: Its norm.
        seeds: One for each image.
        name: What the numbers are for.
    """
    directions = _stack(
        [torch.randn(originals.shape[1:], generator=torch_generator(seed, "attack", name)) for seed in seeds], originals
    )
    # The projection of a far point in a direction is the point at the rim in that direction.
    reach = epsilon if norm == "linf" else _FAR * epsilon
    return project(originals + reach * steepest(directions, norm), originals, epsilon, norm)


def _stack(changes: Sequence[torch.Tensor], originals: torch.Tensor) -> torch.Tensor:
    if not changes:
        return torch.zeros_like(originals)
    return torch.stack(list(changes)).to(device=originals.device, dtype=originals.dtype)
