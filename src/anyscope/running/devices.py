"""Where networks run."""

from __future__ import annotations

from anyscope.errors import EnvironmentFault
from anyscope.running.memory import keep_freed_memory


def choose_device(name: str) -> str:
    """Make a device ready: ``auto`` is the first GPU where there is one, else the CPU; others must be there."""
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cpu":
        keep_freed_memory()
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise EnvironmentFault(f"device {name!r}", "there is no CUDA device", remedy="use --device cpu, or see doctor")
    return name
