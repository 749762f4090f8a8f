"""Parameters of a decoder or a linker, chosen on validation data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Protocol, TypeVar

from anyscope.contracts import Labels
from anyscope.errors import BadInput


class Tunable(Protocol):
    """A decoder of maps or a linker of labels: a frozen dataclass. One may also have ``reads``: parameters that matter
    only where the maps have the head named there; the others are not tuned."""

    search: ClassVar[Mapping[str, Sequence[Any]]]
    """Values worth trying, by parameter."""

    def __call__(self, found: Any, /) -> Labels:
        """Labels (z, y, x)."""


AnyTunable = TypeVar("AnyTunable", bound=Tunable)
Score = Callable[[Sequence[Labels], Sequence[Labels]], float]
"""(references, predictions) of all validation images to one number, larger is better."""


def tune(
    start: AnyTunable,
    found: Sequence[Any],
    references: Sequence[Labels],
    score: Score,
    *,
    search: Mapping[str, Sequence[Any]] | None = None,
    rounds: int = 2,
) -> AnyTunable:
    """The decoder or linker with the parameters that score best on validation images, one parameter after the other.

    Each parameter in turn is set to the best of its values while the others are held, in the order of ``search``, for
    at most ``rounds`` rounds or until a round changes nothing. A value replaces another only where it scores higher, so
    that ties keep what was there.

    Args:
        start: Where the search starts.
        found: What it reads, of each validation image: activated maps by head, or labels of slices.
        references: The reference labels (z, y, x), the same number.
        score: What to maximise, given all references and predictions, so that pooled scores are possible.
        search: Values to try by parameter; its own where None. Several parameters, with commas between their names,
            are set together.
        rounds: Upper bound of the rounds.
    """
    if not found or len(found) != len(references):
        raise BadInput(
            "tuning", f"{len(found)} images and {len(references)} references", "one reference for each, at least one"
        )
    grid = start.search if search is None else search
    reads: Mapping[str, str] = getattr(start, "reads", {})
    grid = {name: values for name, values in grid.items() if name not in reads or reads[name] in found[0]}
    known: dict[Any, float] = {}

    def rate(candidate: AnyTunable) -> float:
        if candidate not in known:
            known[candidate] = score(references, [candidate(each) for each in found])
        return known[candidate]

    best = start
    for _ in range(rounds):
        before = best
        for name, values in grid.items():
            names = name.split(",")
            together = [value if len(names) > 1 else (value,) for value in values]
            candidates = [replace(best, **dict(zip(names, each, strict=True))) for each in together]  # type: ignore[type-var]
            best = max([best, *candidates], key=rate)
        if best == before:
            break
    return best
