"""Engines: who computes the network on the CPU. Torch, ONNX Runtime or OpenVINO; the same numbers, other times.

The engine replaces the network alone: what is done to images before (grey levels, translator, normalisation, padding)
and to logits after stays with torch.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn

from anyscope.errors import AnyscopeError, unknown_name
from anyscope.inference.footprint import forward_bytes
from anyscope.models import Segmenter, SegmenterSpec
from anyscope.models.export import export_network
from anyscope.models.runtimes import RUNTIMES, Runtime, require

ENGINES = ("torch", "onnxruntime", "openvino")
_EXTRAS = {"onnxruntime": "onnx", "openvino": "openvino"}
_REPEATS = 3
_ALLOWANCE = 1.5
"""Memory of an engine over that of torch; OpenVINO copies weights and features into layouts of its own."""


class EngineNetwork(nn.Module):
    """A segmenter whose network another runtime computes. It has no gradients, and no other device than the CPU.

    Args:
        segmenter: The segmenter.
        runtime: Its network.
        name: The engine.
    """

    def __init__(self, segmenter: Segmenter, runtime: Runtime, name: str) -> None:
        super().__init__()
        self.segmenter = segmenter
        self.name = name
        self._runtime = runtime

    @property
    def spec(self) -> SegmenterSpec:
        """See :class:`anyscope.inference.network.Network`."""
        return self.segmenter.spec

    @property
    def stride(self) -> int:
        """See :class:`anyscope.inference.network.Network`."""
        return self.segmenter.stride

    def receptive_field(self) -> int | None:
        """See :class:`anyscope.inference.network.Network`."""
        return self.segmenter.receptive_field()

    def forward_bytes(self, shape: tuple[int, int, int, int]) -> int:
        """See :class:`anyscope.inference.network.SelfMeasured`: what torch would need, and an allowance."""
        return int(_ALLOWANCE * forward_bytes(self.segmenter, shape))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits [B, K, H, W] of images [B, C, H, W] in 0..1."""
        height, width = images.shape[-2:]
        logits = torch.from_numpy(self._runtime(self.segmenter.prepare(images).numpy()))
        return logits[..., :height, :width]


def installed_engines() -> list[str]:
    """The engines whose packages are installed, torch first."""
    return [name for name in ENGINES if name == "torch" or (find_spec(name) and find_spec("onnx"))]


def build_engine(segmenter: Segmenter, name: str) -> Segmenter | EngineNetwork:
    """A segmenter with another engine, after a check that both compute the same.

    Args:
        segmenter: On the CPU, in evaluation mode.
        name: One of :data:`ENGINES`.

    Raises:
        BadInput: No such engine, or the network cannot be brought to it.
        EnvironmentFault: Its package is not installed.
    """
    if name not in ENGINES:
        raise unknown_name("engine", name, ENGINES)
    if name == "torch":
        return segmenter
    require(name, _EXTRAS[name])
    with tempfile.TemporaryDirectory(prefix="anyscope-") as folder:
        path = Path(folder) / "network.onnx"
        export_network(segmenter, segmenter.net, "onnx", path)
        runtime: Runtime = RUNTIMES[name](path, torch.get_num_threads())
    return EngineNetwork(segmenter, runtime, name)


def measure_engines(segmenter: Segmenter, shape: tuple[int, int], names: list[str]) -> dict[str, float]:
    """Seconds that each engine takes for one tile, the best of a few passes that alternate.

    Args:
        segmenter: On the CPU, in evaluation mode.
        shape: Height and width of the tile.
        names: Engines; those that the network cannot be brought to are left out.
    """
    networks: dict[str, Segmenter | EngineNetwork] = {}
    for name in names:
        try:
            networks[name] = build_engine(segmenter, name)
        except AnyscopeError:
            continue
    image = torch.rand((1, segmenter.spec.in_channels, *shape), generator=torch.Generator().manual_seed(0))
    best: dict[str, float] = dict.fromkeys(networks, float("inf"))
    with torch.inference_mode():
        for network in networks.values():  # the first pass warms up
            network(image)
        for _ in range(_REPEATS):
            for name, network in networks.items():
                started = time.perf_counter()
                network(image)
                best[name] = min(best[name], time.perf_counter() - started)
    return best


def fastest(seconds: Mapping[str, float], gain: float = 1.1) -> str:
    """The engine that took the least time; torch where none is faster than it by the factor ``gain``.

    >>> fastest({"torch": 1.0, "onnxruntime": 0.95, "openvino": 0.6})
    'openvino'
    """
    name = min(seconds, key=lambda one: seconds[one])
    return name if seconds[name] * gain <= seconds.get("torch", float("inf")) else "torch"
