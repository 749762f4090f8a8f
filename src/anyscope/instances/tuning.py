"""Thresholds of a decoder, chosen on validation data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from anyscope.contracts import Labels
from anyscope.errors import BadInput
from anyscope.instances.decoders import Decoder
from anyscope.instances.maps import Maps

AnyDecoder = TypeVar("AnyDecoder", bound=Decoder)
Score = Callable[[Sequence[Labels], Sequence[Labels]], float]
"""(references, predictions) of all validation images to one number, larger is better."""


def tune(
    decoder: AnyDecoder,
    maps: Sequence[Maps],
    references: Sequence[Labels],
    score: Score,
    *,
    search: Mapping[str, Sequence[float]] | None = None,
    rounds: int = 2,
) -> AnyDecoder:
    """The decoder with the parameters that score best on validation images, found one parameter after the other.

    Each parameter in turn is set to the best of its values while the others are held, in the order of ``search``, for
    at most ``rounds`` rounds or until a round changes nothing. A value replaces another only where it scores higher, so
    that ties keep what was there.

    Args:
        decoder: Where the search starts.
        maps: Activated maps by head of each validation image.
        references: Its reference labels (z, y, x), the same number.
        score: What to maximise, given all references and predictions, so that pooled scores are possible.
        search: Values to try by parameter; those of the decoder where None. Parameters that the decoder says to read
            from a head that the maps lack are left out.
        rounds: Upper bound of the rounds.
    """
    if not maps or len(maps) != len(references):
        raise BadInput(
            "tuning", f"{len(maps)} maps and {len(references)} references", "one reference for each, at least one"
        )
    grid = decoder.search if search is None else search
    reads: Mapping[str, str] = getattr(decoder, "reads", {})
    grid = {name: values for name, values in grid.items() if name not in reads or reads[name] in maps[0]}
    known: dict[Any, float] = {}

    def rate(candidate: AnyDecoder) -> float:
        if candidate not in known:
            known[candidate] = score(references, [candidate(each) for each in maps])
        return known[candidate]

    for _ in range(rounds):
        before = decoder
        for name, values in grid.items():
            candidates = [replace(decoder, **{name: value}) for value in values]  # type: ignore[type-var]
            decoder = max([decoder, *candidates], key=rate)
        if decoder == before:
            break
    return decoder
