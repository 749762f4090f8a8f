"""Gates: the least score that is accepted under each condition, as a file that stands beside a deployment.

```yaml
measure: mask            # or objects; mask where it is left out
models: [unet_small]     # all where it is left out
minimum:
  clean: 0.90
  "contrast@3": 0.80
  "photon_loss": 0.70    # its mean over severities
  "pgd@2": 0.50
  "fluorescence": 0.75   # the mean over the family
  "corruption": 0.70     # the mean over all corruptions; attack: over all attacks
  "worst": 0.40          # the lowest score under any corruption
```
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from anyscope.assay.scores import AssayScores
from anyscope.assay.tally import Measure
from anyscope.errors import BadInput, unknown_name
from anyscope.running.documents import explain, read_document

Score = Annotated[float, Field(ge=0, le=1)]


class Gate(BaseModel):
    """The content of a gate file; see the module."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    measure: Measure = "mask"
    models: tuple[str, ...] | None = None
    minimum: Annotated[dict[str, Score], Field(min_length=1)]


@dataclass(frozen=True)
class Check:
    """One model at one line of a gate."""

    model: str
    name: str
    found: float
    minimum: float

    @property
    def passed(self) -> bool:
        """Whether the score is there and high enough."""
        return bool(np.isfinite(self.found)) and self.found >= self.minimum

    def describe(self) -> str:
        """One clause."""
        found = f"{self.found:.3f}" if np.isfinite(self.found) else "no score"
        return f"{self.model} {self.name} {found}, at least {self.minimum:g} wanted"


def read_gate(path: Path) -> Gate:
    """Read a gate file.

    Raises:
        BadInput: It cannot be read, or has keys or values that no gate has.
    """
    document = read_document(path, "a gate: measure, models, minimum")
    try:
        return Gate.model_validate(document)
    except ValidationError as error:
        key, problem = explain(error)
        raise BadInput(path, f"key {key!r}: {problem}", "measure, models, and minimum: {condition: score}") from None


def check_gate(gate: Gate, scores: AssayScores, path: Path) -> list[Check]:
    """Hold the scores of an assay against a gate.

    Args:
        gate: The gate.
        scores: Those of the gate's measure.
        path: The gate's file, for messages.

    Raises:
        BadInput: The gate names models or conditions that the assay does not have.
    """
    networks = gate.models if gate.models is not None else scores.models
    for model in networks:
        if model not in scores.models:
            raise unknown_name(f"{path}: model", model, scores.models)
    checks = []
    for name, minimum in gate.minimum.items():
        values = _values(name, scores, path)
        checks += [Check(model, name, float(values[scores.models.index(model)]), minimum) for model in networks]
    return checks


def _values(name: str, scores: AssayScores, path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Scores (models,) that a line of a gate speaks of."""
    if name == "worst":  # under corruption; worst@8 is the worst attack of that size
        return scores.worst[0]
    by_key = {condition.key: condition for condition in scores.conditions}
    if name in by_key:
        return scores.of(by_key[name])
    with_steps = [condition for condition in scores.conditions if replace(condition, steps=None).key == name]
    if len(with_steps) == 1:  # pgd@8 is meant by who attacked with pgd:100@8 alone
        return scores.of(with_steps[0])
    if name in scores.shifts:
        return scores.shifts[name].pooled()[:, 0]
    if name in scores.series:
        return scores.mean_over([name])
    if scores.names(name):
        return scores.mean_over(scores.names(name))
    families = {group[0].family for group in scores.series.values()}
    raise unknown_name(f"{path}: condition", name, [*by_key, *scores.series, *scores.shifts, *families, "worst"])
