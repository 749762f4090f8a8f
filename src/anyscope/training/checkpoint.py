"""Checkpoints of a training in progress: one safetensors file, never pickle, whole or not at all.

Nested state (of optimisers and schedules) is stored as flat tensors; its plain values and its structure are JSON in the
file's metadata.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from anyscope.errors import BadInput
from anyscope.running.atomic import atomic_file

State = dict[str, Any]
_TENSOR = "\x00tensor"


def save_checkpoint(path: Path, state: State) -> None:
    """Save a nested state of mappings, lists, tensors and plain values."""
    tensors: dict[str, torch.Tensor] = {}
    plain = _detach(state, "", tensors)
    with atomic_file(path) as temporary:
        save_file(tensors, temporary, metadata={"state": json.dumps(plain)})


def load_checkpoint(path: Path, device: str = "cpu") -> State:
    """Load what :func:`save_checkpoint` wrote."""
    try:
        with safe_open(path, framework="pt", device=device) as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            plain = json.loads((file.metadata() or {})["state"])
    except (SafetensorError, OSError, KeyError, json.JSONDecodeError, struct.error) as error:
        raise BadInput(
            path, f"not a whole checkpoint ({error})", remedy="remove it, or start anew with --force"
        ) from None
    state: State = _attach(plain, tensors)
    return state


def save_weights(module: torch.nn.Module, path: Path) -> None:
    """Save the state of a module as a .safetensors file, whole or not at all."""
    with atomic_file(path) as temporary:
        save_file({key: tensor.detach().cpu().contiguous() for key, tensor in module.state_dict().items()}, temporary)


def _detach(value: Any, name: str, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, torch.Tensor):
        tensors[name] = value.detach().cpu().contiguous().clone()
        return {_TENSOR: name}
    if isinstance(value, dict):
        # JSON keys are strings: optimiser states are keyed by numbers, so the kind of key is kept beside it.
        return {"\x00items": [[key, _detach(item, f"{name}/{key}", tensors)] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        return [_detach(item, f"{name}/{i}", tensors) for i, item in enumerate(value)]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"a checkpoint cannot hold a {type(value).__name__} ({name})")


def _attach(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, list):
        return [_attach(item, tensors) for item in value]
    if isinstance(value, dict):
        if _TENSOR in value:
            return tensors[value[_TENSOR]]
        return {key: _attach(item, tensors) for key, item in value["\x00items"]}
    return value
