"""Images of soft discs, and a small network that was trained on them for a moment."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from anyscope.attacks import Target
from anyscope.contracts import HeadLayout


class Net(nn.Module):
    """Some layers with the heads mask and boundary; what an attack needs to know of it is its spec."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.spec = SimpleNamespace(layout=HeadLayout(("boundary", "mask")))
        self.layers = nn.Sequential(*layers)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layers(images)


def discs(count: int, seed: int, size: int = 32) -> tuple[torch.Tensor, Target]:
    """Images [B, 1, H, W] at 8-bit levels with some pixels at 0 and 1, and the discs in them."""
    random = torch.Generator().manual_seed(seed)
    rows = torch.arange(size)[:, None]
    columns = torch.arange(size)[None, :]
    labels = torch.zeros((count, size, size), dtype=torch.int64)
    for number in range(count):
        for _ in range(4):
            y, x = torch.randint(0, size, (2,), generator=random).tolist()
            labels[number][(rows - y) ** 2 + (columns - x) ** 2 < 30] = 1
    noise = 0.08 * torch.randn((count, 1, size, size), generator=random)
    images = (0.3 + 0.4 * labels[:, None] + noise).clamp(0, 1)
    images[:, :, 0, :4], images[:, :, 1, :4] = 0, 1
    return (images * 255).round() / 255, Target(labels, torch.ones_like(labels, dtype=torch.bool))


def _plain() -> Net:
    return Net(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 2, 3, padding=1),
    )


def _dilated() -> Net:
    return Net(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.SiLU(),
        nn.Conv2d(8, 8, 3, padding=2, dilation=2),
        nn.SiLU(),
        nn.Conv2d(8, 8, 3, padding=4, dilation=4),
        nn.SiLU(),
        nn.Conv2d(8, 2, 1),
    )


def _pooling() -> Net:
    return Net(
        nn.Conv2d(1, 8, 5, padding=2),
        nn.GroupNorm(2, 8),
        nn.GELU(),
        nn.AvgPool2d(2),
        nn.Conv2d(8, 12, 3, padding=1),
        nn.GELU(),
        nn.Upsample(scale_factor=2, mode="bilinear"),
        nn.Conv2d(12, 2, 3, padding=1),
    )


KINDS = {"plain": _plain, "dilated": _dilated, "pooling": _pooling}


def trained(kind: str) -> Net:
    """A network that was trained on discs, in evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        network = KINDS[kind]()
    images, target = discs(16, seed=1)
    optimiser = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(60):
        optimiser.zero_grad()
        logits = network(images)[:, 1]
        F.binary_cross_entropy_with_logits(logits, target.labels.float()).backward()
        optimiser.step()
    optimiser.zero_grad()
    return network.eval()


@pytest.fixture(scope="session")
def net() -> Net:
    """A trained network; tests leave it as it is."""
    return trained("plain")


@pytest.fixture(scope="session", params=list(KINDS))
def any_net(request) -> Net:
    """Three trained networks that have little in common."""
    return trained(request.param)


def overlap(logits: torch.Tensor, target: Target) -> float:
    """Pooled IoU of the foreground."""
    predicted, wanted = logits.argmax(dim=1) > 0, target.labels > 0
    return float((predicted & wanted & target.valid).sum() / ((predicted | wanted) & target.valid).sum())
