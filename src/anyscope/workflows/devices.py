"""Where networks run."""

from __future__ import annotations

from anyscope.errors import EnvironmentFault


def choose_device(name: str) -> str:
    """``auto`` is the first GPU where there is one, else the CPU; anything else must be there."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise EnvironmentFault(f"device {name!r}", "there is no CUDA device", remedy="use --device cpu, or see doctor")
    return name
