"""What a crossing consists of: plain data that travels to workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path
from typing import Any, NamedTuple

from anyscope.adaptation.settings import GENERAL, NONE, AdaptSettings, adapt_settings, parse_method
from anyscope.errors import BadInput

KEY = ("source", "target", "method", "seed")
CEILING = "supervised-on-target"
"""Name of the training on the target's own labels, in the place of a method: what could be reached."""
FLOOR = NONE
"""The method that does not adapt."""


class CrossCell(NamedTuple):
    """One cell: a source, a target, a method, a seed. Source and target are the same for the ceiling."""

    source: str
    target: str
    method: str
    seed: int

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Its key in the ledger."""
        return self.source, self.target, self.method, str(self.seed)

    @property
    def folder(self) -> str:
        """Name of its folder."""
        if self.method == CEILING:
            return f"{self.source}-s{self.seed}"
        return f"{self.source}--{self.target}--{self.method}--s{self.seed}"


@dataclass(frozen=True)
class CrossPlan:
    """Everything that decides what a crossing does.

    Args:
        out: Its folder.
        data: Dataset folders by name.
        methods: Methods as they were typed; the floor is always among them.
        seeds: How many seeds, from that of the settings on.
        profile: See :class:`~anyscope.adaptation.settings.AdaptSettings`.
        given: Settings that differ from the profile's, as nested data.
        part: Which images of the target are learned from: ``train`` (inductive) or ``all`` (transductive).
        device: ``auto``, ``cpu`` or ``cuda``.
        keep: Whether the candidates of every cell stay on disk.
    """

    out: Path
    data: Mapping[str, Path]
    methods: tuple[str, ...]
    seeds: int = 1
    profile: str = "fast"
    given: Mapping[str, Any] = field(default_factory=dict)
    part: str = "train"
    device: str = "auto"
    keep: bool = False

    def settings(self, method: str, seed: int) -> AdaptSettings:
        """Settings of a cell."""
        names = parse_method(method)
        own = {key: value for key, value in self.given.items() if key in (*names, "supervised", *_GENERAL)}
        return adapt_settings(method, self.profile, **own, seed=seed)

    @property
    def numbers(self) -> range:
        """The seeds."""
        first = int(self.given.get("train", {}).get("seed", 0))
        return range(first, first + self.seeds)

    def trainings(self) -> list[CrossCell]:
        """Training on every dataset: the floor of all pairs it is the source of, the ceiling of those it is the target
        of."""
        return [CrossCell(name, name, CEILING, seed) for seed in self.numbers for name in self.data]

    def crossings(self) -> list[CrossCell]:
        """Every ordered pair with every method, those of the first seed first."""
        return [
            CrossCell(source, target, method, seed)
            for seed in self.numbers
            for method in self.methods
            for source, target in permutations(self.data, 2)
        ]


_GENERAL = ("train", *GENERAL)


def plan_crossing(out: Path, data: Mapping[str, Path], methods: tuple[str, ...], **more: Any) -> CrossPlan:
    """A plan with the floor among its methods, each method checked.

    Raises:
        BadInput: Fewer than two datasets, an unknown method or setting.
    """
    if len(data) < 2:
        raise BadInput("--data", f"{len(data)} dataset(s)", "two or more, each with labels and a test part")
    chosen = tuple(dict.fromkeys((FLOOR, *methods)))
    plan = CrossPlan(out, dict(data), chosen, **more)
    used = {name for method in chosen for name in parse_method(method)}
    for key in plan.given:
        if key not in (*used, "supervised", *_GENERAL):
            raise BadInput(f"setting {key!r}", "no method has such a step", f"one of {', '.join(sorted(used))}")
    for method in chosen:
        plan.settings(method, 0).chain(trained=False)
    return plan
