"""How much memory a forward pass needs, found without computing it, and how much there is."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from anyscope.inference.network import Network, device_of, module_of

WORKSPACE = 1.3
"""Allowance for what operators need inside: re-ordered copies of weights and features, fragments of freed memory."""
_SMALL = 128
"""Side in pixels of the trial that stands in where a network cannot be followed without computing."""


class _Live(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's is untyped
    """Counts the bytes of all tensors that are alive, at every operation."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = self.peak = 0
        self._known: dict[int, int] = {}

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

    The pass is followed on torch's meta device, where tensors have shapes but no data: the sum of the storages alive is
    taken after every operation, its maximum is multiplied by :data:`WORKSPACE`. Fused attention appears there as a full
    table of products, so that transformers are over-estimated. Where a network insists on data, a real pass over a
    small image is followed instead, and scaled by the number of pixels.

    Weights are not counted: they are there already.
    """
    try:
        peak = float(_peak(network, shape, torch.device("meta")))
    except (RuntimeError, NotImplementedError):  # how torch says that an operation needs data or has no meta kernel
        side = -(-_SMALL // network.stride) * network.stride
        small = _peak(network, (1, shape[1], side, side), device_of(network))
        peak = small * shape[0] * shape[2] * shape[3] / side**2
    return int(WORKSPACE * peak)


def _peak(network: Network, shape: tuple[int, int, int, int], device: torch.device) -> int:
    module = module_of(network)
    tensors = dict((*module.named_parameters(), *module.named_buffers()))
    if device.type == "meta":
        tensors = {name: torch.empty_like(tensor, device=device) for name, tensor in tensors.items()}
    training = module.training
    module.eval()
    try:
        with torch.inference_mode(), _Live() as memory:
            images = torch.zeros(shape, device=device)
            functional_call(module, tensors, (images,))
    finally:
        module.train(training)
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
