"""The models that a verb is given: our runs, and those of other projects."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from anyscope.assay.plan import BASELINE, SubjectRef
from anyscope.external import ForeignNetwork, identity, is_foreign, open_foreign, read_foreign
from anyscope.models import SegmenterSpec
from anyscope.models.storage import find_segmenter, read_spec, weights_hash


def subjects_of(runs: Sequence[Path | str], *, trust: bool = False) -> list[SubjectRef]:
    """References to models, with names that differ.

    Args:
        runs: Runs, segmenter folders, or other projects' models.
        trust: Whether code that comes with these may run.

    Raises:
        BadInput: One is missing, segments nothing, or cannot be opened.
    """
    found: list[SubjectRef] = []
    for run in runs:
        taken = [*(ref.name for ref in found), BASELINE]
        found.append(_foreign(run, taken, trust=trust) if is_foreign(run) else _own(run, taken))
    return found


def offers(ref: SubjectRef) -> str:
    """What a foreign model without gradients can be tested with, in words."""
    what = {"logits": "gives no gradients", "labels": "gives labels alone"}[ref.foreign or "logits"]
    return f"{what}: corruptions and attacks that need no gradient only"


def free_name(base: str, taken: Sequence[str]) -> str:
    """A name that can be part of a key, with a number where it is taken."""
    base = re.sub(r"[@\s/]+", "-", base)
    name, number = base, 2
    while name in taken:
        name, number = f"{base}-{number}", number + 1
    return name


def _own(run: Path | str, taken: Sequence[str]) -> SubjectRef:
    folder = find_segmenter(run).resolve()
    spec = read_spec(run)  # refuses what segments nothing
    own = folder.parent if folder.name == "segmenter" else folder
    return SubjectRef(
        name=free_name(own.name, taken), path=str(folder), weights=weights_hash(folder), sees=_sees(spec),
        **_trained(spec),
    )  # fmt: skip


def _sees(spec: SegmenterSpec) -> str:
    """What a model is shown, in words."""
    return f"{spec.intensity}, {spec.pixels}, {spec.channels} channel(s)"


def _trained(spec: SegmenterSpec) -> dict[str, Any]:
    """How a model was trained, for its reference."""
    found: dict[str, Any] = {}
    how: dict[str, Any] = dict(spec.provenance)
    if "steps_per_epoch" in how:
        arguments = "".join(f", {key} {value}" for key, value in sorted(spec.arguments.items()))
        budget = f"{how['epochs']} x {how['steps_per_epoch']} steps of {how['batch']}"
        found["network"] = f"{spec.model}{arguments}, {spec.task}, on {how['dataset']}, {budget}"
    hardened = how.get("robust")
    if isinstance(hardened, dict):
        found["robust"] = f"{hardened['name']} {json.dumps(hardened['parameters'], sort_keys=True)}"
        found |= {"seen": tuple(hardened["seen"]), "held_out": tuple(hardened["held_out"])}
    return found


def _foreign(run: Path | str, taken: Sequence[str], *, trust: bool) -> SubjectRef:
    model = open_foreign(run, trust=trust)
    offered: Literal["gradients", "logits", "labels"] = "labels"
    if isinstance(model, ForeignNetwork):
        offered = "gradients" if model.differentiable else "logits"
    place = Path(run)
    path = str(place.resolve()) if place.exists() else str(run)
    described, _ = read_foreign(run)
    base = described.name or _plain_name(place)
    return SubjectRef(
        name=free_name(base, taken), path=path, weights=identity(run), foreign=offered, trust=trust or None,
        sees=_sees(model.spec),
    )  # fmt: skip


def _plain_name(place: Path) -> str:
    """The name of a file or folder; a description with the usual name has that of its folder."""
    if place.is_dir():
        return place.resolve().name
    if place.suffix in (".yaml", ".yml"):
        return place.resolve().parent.name if place.stem == "anyscope-model" else place.stem
    return place.name.replace(":", ".")
