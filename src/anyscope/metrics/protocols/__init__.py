"""Evaluation protocols by name: which counts are taken from an image and which scores follow from them."""

from __future__ import annotations

from typing import Literal

from anyscope.contracts import Task
from anyscope.metrics.protocols.base import Counts, EvaluationProtocol
from anyscope.metrics.protocols.masks import Lucchi, Multiclass, Semantic
from anyscope.metrics.protocols.neurites import Neurites, Neurites2d
from anyscope.metrics.protocols.objects import Dsb2018, Instances, Instances2d
from anyscope.metrics.protocols.partitions import Cremi, Isbi2012, Snemi3d
from anyscope.metrics.protocols.ranking import MitoEm, MitoEm2d
from anyscope.metrics.protocols.surfaces import Surface
from anyscope.registry import Registry

PROTOCOLS: Registry[EvaluationProtocol] = Registry("protocol")

_ENTRIES: tuple[type[EvaluationProtocol], ...] = (
    Semantic,
    Instances,
    Instances2d,
    Multiclass,
    Surface,
    Lucchi,
    Snemi3d,
    MitoEm,
    MitoEm2d,
    Neurites,
    Neurites2d,
    Isbi2012,
    Dsb2018,
    Cremi,
)
for _entry in _ENTRIES:
    PROTOCOLS.add(_entry.name, _entry())

__all__ = ["Counts", "EvaluationProtocol", "PROTOCOLS", "default_protocol"]


def default_protocol(task: Task, classes: int = 2, objects: Literal["2d", "3d"] | None = None) -> EvaluationProtocol:
    """The protocol of a task where none was asked for.

    Args:
        task: ``semantic`` or ``instances``.
        classes: Number of classes, background included; ``multiclass`` scores more than two.
        objects: ``2d`` where ids count by slice: objects are then those of slices (``instances_2d``).
    """
    protocol = Multiclass(classes=classes) if task == "semantic" and classes > 2 else PROTOCOLS[task]
    return PROTOCOLS[protocol.in_slices] if objects == "2d" and protocol.in_slices else protocol
