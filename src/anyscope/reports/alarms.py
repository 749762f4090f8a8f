"""Signs that a result cannot be trusted, found in the data of a report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from anyscope.reports.blocks import Alarm
from anyscope.reports.samples import Sample

_FEW_EPOCHS = 5
_LATE = 0.95


def training_alarms(metrics: Sequence[Mapping[str, Any]], best_epoch: int | None = None) -> tuple[Alarm, ...]:
    """Alarms about a training: a loss that is not finite, and a best epoch at the very end.

    Args:
        metrics: Records of metrics.jsonl, one per epoch.
        best_epoch: The epoch whose weights were kept.
    """
    alarms = []
    losses = {key: [record[key] for record in metrics if key in record] for key in ("train_loss", "val_loss")}
    broken = [key.replace("_", " ") for key, values in losses.items() if any(not _finite(value) for value in values)]
    if broken:
        text = f"The {' and the '.join(broken)} became infinite or undefined. Lower the learning rate and train again."
        alarms.append(Alarm("the training diverged", text, "danger"))
    epochs = [int(record.get("epoch", place)) for place, record in enumerate(metrics)]
    if best_epoch is not None and len(epochs) >= _FEW_EPOCHS:
        done = (best_epoch - epochs[0]) / (epochs[-1] - epochs[0])
        if done >= _LATE:
            text = (
                f"The best epoch is {best_epoch} of {epochs[-1]}: validation still improved when the training ended. "
                "A longer training may score higher, and an undertrained network looks more robust than it is."
            )
            alarms.append(Alarm("perhaps undertrained", text))
    return tuple(alarms)


def image_alarms(samples: Sequence[Sample]) -> tuple[Alarm, ...]:
    """Alarms about the images shown: predictions without an object where the reference has some, or full of one."""
    empty = [sample.name for sample in samples if sample.reference.any() and not sample.prediction.any()]
    full = [sample.name for sample in samples if _is_one(sample.prediction) and not _is_one(sample.reference)]
    alarms = []
    if empty:
        text = f"Nothing was predicted for {_listed(empty)}, although the reference has objects."
        alarms.append(Alarm("empty predictions", text, "danger"))
    if full:
        text = f"A single object or class fills the whole prediction of {_listed(full)}."
        alarms.append(Alarm("predictions without background", text, "danger"))
    return tuple(alarms)


def _is_one(labels: NDArray[Any]) -> bool:
    """Whether one object or class fills everything. Several may: neurites leave no background between them."""
    return bool(labels.size and labels.min() == labels.max() != 0)


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _listed(names: Sequence[str], most: int = 5) -> str:
    listed = ", ".join(names[:most])
    return listed if len(names) <= most else f"{listed} and {len(names) - most} more"
