"""Parts for published datasets: official where there are any, otherwise cut so that nothing leaks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from anyscope.datasets.catalog.entry import DeclaredSplit
from anyscope.datasets.split import GAP_PX

VAL_SHARE = 0.1


def tail(count: int, share: float = VAL_SHARE) -> tuple[str, str]:
    """A stack cut in z: its head, and after a gap its tail, as regions.

    >>> tail(100)
    ('[0:87, :, :]', '[90:100, :, :]')
    """
    last = max(1, round(share * count))
    gap = _gap(count)
    return _planes(0, count - last - gap), _planes(count - last, count)


def _gap(count: int) -> int:
    """Slices between parts: one in 32, at least one where there are enough."""
    return max(1, count // 32) if count >= 10 else 0


def _planes(first: int, last: int) -> str:
    return f"[{first}:{last}, :, :]"


def three(count: int, val: float = VAL_SHARE, test: float = 0.2) -> DeclaredSplit:
    """Regions of a stack of which no other test part has labels: head, middle and tail, with gaps.

    Returns:
        Parts by name with the region under the stem ``""``.
    """
    gap = _gap(count)
    last, middle = max(1, round(test * count)), max(1, round(val * count))
    start = count - last
    return {
        "train": {"": _planes(0, start - middle - 2 * gap)},
        "val": {"": _planes(start - middle - gap, start - gap)},
        "test": {"": _planes(start, count)},
    }


def share_of(name: str) -> float:
    """A number in 0..1 that depends on the name alone."""
    return int(hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()[:8], 16) / 2**32


def take_val(names: Iterable[str], share: float = VAL_SHARE) -> tuple[list[str], list[str]]:
    """Names for training and for validation, by the lowest hashes; at least one of each where there are two."""
    ordered = sorted(names, key=lambda name: (share_of(name), name))
    count = max(1, round(share * len(ordered))) if len(ordered) > 1 else 0
    return sorted(ordered[count:]), sorted(ordered[:count])


def quadrants(shape: tuple[int, int]) -> tuple[str, str, str]:
    """Train, val and test of the VNC stack: the right half is test, the top quarter of the left half is val.

    >>> quadrants((1024, 1024))
    ('[:, 288:, :512]', '[:, :256, :512]', '[:, :, 512:]')
    """
    y, x = shape
    gap = min(GAP_PX, y // 32)
    return f"[:, {y // 4 + gap}:, :{x // 2}]", f"[:, :{y // 4}, :{x // 2}]", f"[:, :, {x // 2}:]"
