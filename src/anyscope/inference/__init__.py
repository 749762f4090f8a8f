"""Tiled prediction, test-time augmentation, tables of objects.

``settings`` needs no torch; the other names are loaded with torch when they are first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from anyscope.inference.settings import InferenceSettings

if TYPE_CHECKING:
    from anyscope.inference.activation import activate
    from anyscope.inference.decoding import decoder_of, making_objects, with_decoder
    from anyscope.inference.memory import MemoryEstimate, estimate_memory
    from anyscope.inference.network import Network
    from anyscope.inference.prediction import (
        Decodable,
        TilingDifference,
        check_augmentation,
        decodable,
        predict_maps,
        segment,
        tiling_difference,
    )
    from anyscope.inference.slices import slice_stack
    from anyscope.inference.table import object_table, write_table

_HOMES = {
    "Decodable": "prediction",
    "MemoryEstimate": "memory",
    "Network": "network",
    "TilingDifference": "prediction",
    "activate": "activation",
    "check_augmentation": "prediction",
    "decodable": "prediction",
    "decoder_of": "decoding",
    "estimate_memory": "memory",
    "making_objects": "decoding",
    "object_table": "table",
    "predict_maps": "prediction",
    "segment": "prediction",
    "slice_stack": "slices",
    "tiling_difference": "prediction",
    "with_decoder": "decoding",
    "write_table": "table",
}

__all__ = [
    "Decodable",
    "InferenceSettings",
    "MemoryEstimate",
    "Network",
    "TilingDifference",
    "activate",
    "check_augmentation",
    "decodable",
    "decoder_of",
    "estimate_memory",
    "making_objects",
    "object_table",
    "predict_maps",
    "segment",
    "slice_stack",
    "tiling_difference",
    "with_decoder",
    "write_table",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
