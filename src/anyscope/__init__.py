"""Segmentation that holds on any microscope.

Every verb of the command line is a function here: ``anyscope.train(data, out)`` is ``anyscope train --data DATA --out
OUT``. Importing this package loads none of the heavy libraries behind it; they come with the first call.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anyscope.workflows.adapt import adapt
    from anyscope.workflows.catalog import data_get, data_list
    from anyscope.workflows.conditions import list_conditions
    from anyscope.workflows.cross import cross
    from anyscope.workflows.data import data_check, data_strata, data_synth, data_volume
    from anyscope.workflows.demo import demo
    from anyscope.workflows.doctor import doctor
    from anyscope.workflows.evaluate import evaluate
    from anyscope.workflows.export import export
    from anyscope.workflows.grid import train_grid
    from anyscope.workflows.methods import list_methods
    from anyscope.workflows.predict import predict
    from anyscope.workflows.predict_volume import merge
    from anyscope.workflows.pretrain import pretrain
    from anyscope.workflows.report import report
    from anyscope.workflows.stress import stress
    from anyscope.workflows.synthesis import data_compare, data_like
    from anyscope.workflows.train import train
    from anyscope.workflows.zoo import list_models

_VERBS = {
    "demo": "demo",
    "doctor": "doctor",
    "list_models": "zoo",
    "list_conditions": "conditions",
    "list_methods": "methods",
    "data_list": "catalog",
    "data_get": "catalog",
    "data_check": "data",
    "data_synth": "data",
    "data_volume": "data",
    "data_strata": "data",
    "data_like": "synthesis",
    "data_compare": "synthesis",
    "pretrain": "pretrain",
    "train": "train",
    "train_grid": "grid",
    "stress": "stress",
    "adapt": "adapt",
    "cross": "cross",
    "predict": "predict",
    "merge": "predict_volume",
    "evaluate": "evaluate",
    "report": "report",
    "export": "export",
}

__all__ = [
    "demo",
    "doctor",
    "list_models",
    "list_conditions",
    "list_methods",
    "data_list",
    "data_get",
    "data_check",
    "data_synth",
    "data_volume",
    "data_strata",
    "data_like",
    "data_compare",
    "pretrain",
    "train",
    "train_grid",
    "stress",
    "adapt",
    "cross",
    "predict",
    "merge",
    "evaluate",
    "report",
    "export",
]


def __getattr__(name: str) -> Any:
    if name not in _VERBS:
        raise AttributeError(f"module 'anyscope' has no attribute {name!r}")
    return getattr(import_module(f"anyscope.workflows.{_VERBS[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
