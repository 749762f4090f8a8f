"""Universal perturbations as files in the folder of an assay: one for each network, size and norm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from anyscope.assay.conditions import UNIVERSAL, Condition
from anyscope.assay.degrade import radius
from anyscope.assay.plan import AssayPlan
from anyscope.attacks.universal import Universal
from anyscope.errors import BadInput
from anyscope.training.checkpoint import load_checkpoint

EDGE_PX = 64
FOLDER = "universal"
"""Name of their folder within that of the assay."""


def universal_of(condition: Condition, plan: AssayPlan) -> Universal:
    """The attack of a condition; its radius is a root mean square for l2, so that sizes of images do not matter."""
    return Universal(radius(condition, 1), condition.norm, condition.steps or plan.attack_steps, EDGE_PX, plan.seed)


def perturbation_path(folder: Path, model: str, condition: Condition) -> Path:
    """Where the perturbation of a model is, from its first steps on."""
    return folder / f"{model}-{condition.key.replace(':', '-').replace('@', '-')}.safetensors"


def failure_path(path: Path) -> Path:
    """Where it is said why there is none."""
    return path.with_suffix(".failed.txt")


def read_record(path: Path) -> dict[str, Any] | None:
    """What was learned so far: step, change, momentum, losses, and what it was learned on; None before the start."""
    return load_checkpoint(path) if path.is_file() else None


def read_perturbation(folder: Path, model: str, condition: Condition) -> torch.Tensor:
    """The perturbation [C, h, w].

    Raises:
        BadInput: It is not there; the message says why.
    """
    path = perturbation_path(folder, model, condition)
    failed = failure_path(path)
    if failed.is_file():
        raise BadInput(f"universal perturbation of {model}", failed.read_text(encoding="utf-8").strip())
    record = read_record(path)
    if record is None:
        raise BadInput(f"universal perturbation of {model}", "was not learned", f"a file {path.name}", "--resume")
    change: torch.Tensor = record["change"]
    return change


def learned_records(folder: Path, plan: AssayPlan) -> list[dict[str, Any]]:
    """What the report says of each perturbation of an assay's folder."""
    found = []
    conditions = [Condition.parse(key) for key in plan.conditions]
    for ref in plan.subjects:
        for condition in conditions:
            record = None
            if condition.name == UNIVERSAL and ref.path is not None:
                record = read_record(perturbation_path(folder / FOLDER, ref.name, condition))
            if record is not None:
                losses, about = record["losses"], record["about"]
                first, last = (sum(part) / len(part) for part in (losses[:10], losses[-10:]))
                row = {"model": ref.name, "condition": condition.key, "part": about["part"]}
                row |= {"images": len(about["images"]), "steps": record["step"], "first": first, "last": last}
                found.append(row)
    return found
