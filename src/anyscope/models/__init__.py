"""Networks, the zoo, and the segmenter with its safe save and load.

``spec`` needs no torch; the names below are loaded with torch when they are first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anyscope.models.description import ModelDescription, describe_model, describe_models, list_models
    from anyscope.models.initialisation import InitialisationReport, initialise
    from anyscope.models.nets.low_rank import has_adapters, is_adapter
    from anyscope.models.segmenter import Segmenter, build_segmenter
    from anyscope.models.spec import DecoderSpec, InputTransform, SegmenterSpec
    from anyscope.models.storage import load_segmenter, save_segmenter
    from anyscope.models.zoo import MODELS

_HOMES = {
    "DecoderSpec": "spec",
    "InitialisationReport": "initialisation",
    "InputTransform": "spec",
    "MODELS": "zoo",
    "ModelDescription": "description",
    "Segmenter": "segmenter",
    "SegmenterSpec": "spec",
    "build_segmenter": "segmenter",
    "describe_model": "description",
    "describe_models": "description",
    "has_adapters": "nets.low_rank",
    "initialise": "initialisation",
    "is_adapter": "nets.low_rank",
    "list_models": "description",
    "load_segmenter": "storage",
    "save_segmenter": "storage",
}

__all__ = [
    "DecoderSpec",
    "InitialisationReport",
    "InputTransform",
    "MODELS",
    "ModelDescription",
    "Segmenter",
    "SegmenterSpec",
    "build_segmenter",
    "describe_model",
    "describe_models",
    "has_adapters",
    "initialise",
    "is_adapter",
    "list_models",
    "load_segmenter",
    "save_segmenter",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
