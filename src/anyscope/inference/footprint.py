"""How much memory a forward pass needs, found on a small image, and how much there is."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from anyscope.inference.network import Network, SelfMeasured, module_of, predicting

WORKSPACE = 1.6
"""Allowance for what operators need inside: re-ordered copies of weights and features, fragments of freed memory.
Resident memory on the CPU was 1.05 to 1.56 times the sum of tensors, for U-Nets, DPT, UPerNet and SegFormer at 512 to
2048 pixels."""
_SIDE = 64
"""Side in pixels of the smaller image that is tried; the larger one is twice as wide and high."""
_LARGEST = 256
"""The smaller image is not enlarged beyond this."""


class MemoryTrace(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's is untyped
    """Records when which tensor comes to life and dies, and the bytes of each.

    Args:
        known: Tensors that were there before; views of them are not counted.
    """

    def __init__(self, known: Iterable[torch.Tensor] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.sizes: list[int] = []
        self.events: list[tuple[int, int]] = []
        self._numbers: dict[int, int] = {}
        self._known = {tensor.untyped_storage()._cdata for tensor in known}

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
                self._born(leaf.untyped_storage())
        return result

    def _born(self, storage: torch.UntypedStorage) -> None:
        address = storage._cdata
        if address not in self._numbers and address not in self._known:
            self._numbers[address] = number = len(self.sizes)
            self.sizes.append(storage.nbytes())
            self.events.append((number, 1))
            weakref.finalize(storage, self._died, address)

    def _died(self, address: int) -> None:
        self.events.append((self._numbers.pop(address), -1))

    def peak(self) -> int:
        """Most bytes that were alive at once."""
        changes = [sign * self.sizes[number] for number, sign in self.events]
        return int(np.cumsum(changes).max(initial=0))


@dataclass(frozen=True)
class _Trials:
    """Passes over two images: their pixels, the bytes of every tensor in each, and the order of births and deaths."""

    pixels: tuple[int, int]
    sizes: tuple[NDArray[np.float64], NDArray[np.float64]]
    events: list[tuple[int, int]]

    def peak(self, pixels: int) -> float:
        """Most bytes alive at once in a pass over an image of so many pixels."""
        small, large = self.sizes
        with np.errstate(divide="ignore", invalid="ignore"):
            power = np.log(large / small) / np.log(self.pixels[1] / self.pixels[0])
        power = np.maximum(1.0, np.nan_to_num(power, nan=1.0, posinf=1.0, neginf=1.0))
        sizes = large * (pixels / self.pixels[1]) ** power
        changes = [sign * sizes[number] for number, sign in self.events]
        return float(np.cumsum(changes).max(initial=0.0))


def forward_bytes(network: Network, shape: tuple[int, int, int, int]) -> int:
    """Peak memory of a forward pass over images of ``shape`` (B, C, H, W), in bytes, input and output included.

        WORKSPACE * B * max over time of sum over tensors alive of bytes(pixels), pixels = H * W

    Two passes over small images are followed; a tensor's bytes are extrapolated as the power of the number of pixels
    that they grew with between the two, at least 1: features grow in proportion, tables of attention with the square.
    The sequence of births and deaths is then replayed with these bytes. Weights are not counted: they are there
    already.
    """
    stated = network.forward_bytes(shape) if isinstance(network, SelfMeasured) else None
    if stated is not None:
        return stated
    batch, channels, height, width = shape
    return int(WORKSPACE * batch * _trials(network, channels).peak(height * width))


_KNOWN: weakref.WeakKeyDictionary[nn.Module, dict[int, _Trials]] = weakref.WeakKeyDictionary()
"""What was found before, for as long as a network lives: a folder of small images would be slowed down otherwise."""


def _trials(network: Network, channels: int) -> _Trials:
    known = _KNOWN.setdefault(module_of(network), {})
    if channels not in known:
        side = -(-_SIDE // network.stride) * network.stride
        small, large = (_follow(network, (1, channels, length, length)) for length in (side, 2 * side))
        while small.events != large.events and side < _LARGEST:
            # windows of attention are padded in one and not in the other: no tensor has its like, so try larger ones
            side *= 2
            small, large = large, _follow(network, (1, channels, 2 * side, 2 * side))
        if small.events != large.events:  # other operations for every size: only the largest pass counts
            small = large
        sizes = np.array(small.sizes, np.float64), np.array(large.sizes, np.float64)
        known[channels] = _Trials((side**2, 4 * side**2), sizes, large.events)
    return known[channels]


def _follow(network: Network, shape: tuple[int, int, int, int]) -> MemoryTrace:
    trace = MemoryTrace()
    with predicting(network, "auto") as device, trace:
        network(torch.zeros(shape, device=device))
    return trace


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
