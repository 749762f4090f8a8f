"""How long an assay will take, before it is begun."""

from __future__ import annotations

import time
from dataclasses import dataclass

from anyscope.assay.conditions import UNIVERSAL, Condition
from anyscope.assay.degrade import attack_of
from anyscope.assay.measure import Workshop
from anyscope.assay.plan import MAIN, AssayPlan
from anyscope.attacks.square import Square

_BACKWARD = 2.0
"""A gradient costs about two forward passes more."""


@dataclass(frozen=True)
class Estimate:
    """The size of an assay.

    Args:
        cells: Number of cells.
        tasks: Number of tasks.
        seconds: Time in one process on this machine.
    """

    cells: int
    tasks: int
    seconds: float


def estimate(plan: AssayPlan) -> Estimate:
    """Show each model one image, and count what it will be shown."""
    tasks = plan.tasks(set())
    shop = Workshop(plan)
    seconds: dict[str, float] = {}
    for ref in plan.subjects:
        subject = shop.subject(ref.name)
        if subject is None:
            continue
        image = shop.data(MAIN).image(plan.data[0].images[0], subject.convention)
        times = []
        for _ in range(2):  # the first one warms up
            started = time.monotonic()
            subject.judge([image.unit])
            times.append(time.monotonic() - started)
        seconds[ref.name] = times[-1]
    total = 0.0
    for task in tasks:
        condition = Condition.parse(task.condition)
        passes = 1.0
        if condition.kind == "attack":
            passes += _passes(condition, plan)
        total += sum(seconds.get(model, 0.0) * passes for model, _, _ in task.missing)
    return Estimate(sum(len(task.missing) for task in tasks), len(tasks), total)


def _passes(condition: Condition, plan: AssayPlan) -> float:
    """Forward passes of a whole image that an attack on it costs; what is learned once for all images is left out."""
    if condition.name == UNIVERSAL:
        return 0.0
    method = attack_of(condition, 1, plan.attack_steps)
    if isinstance(method, Square):
        return float(method.queries)
    steps = float(getattr(method, "resolved_steps", 1)) if method.uses_gradient else 0.0
    # made once for all that see it
    return (1 + _BACKWARD) * steps / (len(plan.subjects) if condition.of else 1)
