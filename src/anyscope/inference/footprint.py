"""How much memory a forward pass needs, found on a small image, and how much there is."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from anyscope.inference.network import Network, module_of, predicting

WORKSPACE = 1.5
"""Allowance for what operators need inside: re-ordered copies of weights and features, fragments of freed memory.
Resident memory on the CPU was 1.18 to 1.43 times the sum of tensors, for U-Nets at 512 to 2048 pixels."""
_LOCAL_SIDE = 64
_GLOBAL_SIDES = (256, 512)
"""Sides in pixels of the images that are tried. Those for attention are so large that its tables are what fills memory,
as they do in the images that memory is scarce for."""


class _Live(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's is untyped
    """Counts the bytes of all tensors that are alive, at every operation."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = self.peak = 0
        self._known: dict[int, int] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Without this, torch loads its compiler at the first operation, which takes seconds and is not needed here.
        return False

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self._count(leaf.untyped_storage())
        self.peak = max(self.peak, self.live)
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key not in self._known:
            self._known[key] = storage.nbytes()
            self.live += storage.nbytes()
            weakref.finalize(storage, self._forget, key)

    def _forget(self, key: int) -> None:
        self.live -= self._known.pop(key)


def forward_bytes(network: Network, shape: tuple[int, int, int, int]) -> int:
    """Peak memory of a forward pass over images of ``shape`` (B, C, H, W), in bytes, input and output included.

        WORKSPACE * B * (b * pixels + c * pixels ** 2), pixels = H * W

    A pass over a small image is followed: the bytes of all tensors alive are summed after every operation, and the
    largest sum is its peak. Memory is proportional to pixels (c = 0) where the receptive field is finite. Otherwise
    there may be attention, whose tables grow with the square: b and c go through the peaks of two sizes.

    Weights are not counted: they are there already.
    """
    batch, channels, height, width = shape
    pixels = height * width
    if network.receptive_field() is not None:
        small, peak = _trial(network, channels, _LOCAL_SIDE)
        linear, square = peak / small, 0.0
    else:
        (small, peak), (larger, larger_peak) = (_trial(network, channels, side) for side in _GLOBAL_SIDES)
        square = max(0.0, (larger_peak / larger - peak / small) / (larger - small))
        linear = max(peak / small, larger_peak / larger) if square == 0 else peak / small - square * small
    return int(WORKSPACE * batch * (linear * pixels + square * pixels**2))


_PEAKS: weakref.WeakKeyDictionary[nn.Module, dict[tuple[int, int], int]] = weakref.WeakKeyDictionary()
"""What was found before, for as long as a network lives: a folder of small images would be slowed down otherwise."""


def _trial(network: Network, channels: int, side: int) -> tuple[int, int]:
    """Pixels and peak of a pass over a square image whose side is rounded up to the stride."""
    side = -(-side // network.stride) * network.stride
    known = _PEAKS.setdefault(module_of(network), {})
    if (channels, side) not in known:
        known[channels, side] = _peak(network, (1, channels, side, side))
    return side**2, known[channels, side]


def _peak(network: Network, shape: tuple[int, int, int, int]) -> int:
    with predicting(network, "auto") as device, _Live() as memory:
        network(torch.zeros(shape, device=device))
        return int(memory.peak)


def free_bytes(device: torch.device) -> int:
    """Memory that can be allocated on a device now; on the CPU not more than the limit of the container."""
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + cached
    return min(_free_in_machine(), _free_in_container())


def _free_in_machine() -> int:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass  # no Linux: half of what is built in
    return int(os.sysconf("SC_PAGE_SIZE")) * int(os.sysconf("SC_PHYS_PAGES")) // 2


def _free_in_container(root: Path = Path("/sys/fs/cgroup")) -> int:
    unlimited = 1 << 62
    try:
        limit = (root / "memory.max").read_text(encoding="ascii").strip()
        used = int((root / "memory.current").read_text(encoding="ascii"))
        statistics = (root / "memory.stat").read_text(encoding="ascii").splitlines()
    except OSError:
        return unlimited
    if limit == "max":
        return unlimited
    reclaimable = sum(int(line.split()[1]) for line in statistics if line.startswith("inactive_file "))
    return max(0, int(limit) - used + reclaimable)
