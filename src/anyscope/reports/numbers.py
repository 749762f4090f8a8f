"""Numbers and plain values as text."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

MISSING = "\N{EN DASH}"


def score(value: float | None) -> str:
    """A score with three decimals, fewer where it is large, a dash where it is not defined.

    >>> score(0.87654), score(12.345), score(412.0), score(None) == score(float("nan")) == MISSING
    ('0.877', '12.3', '412', True)
    """
    if value is None or not math.isfinite(value):
        return MISSING
    if value == round(value) and abs(value) >= 10:
        return f"{value:,.0f}"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}" if abs(value) < 1000 else f"{value:,.0f}"


def number(value: float | None) -> str:
    """A number of any size: as a score, but small ones with three digits.

    >>> number(0.25), number(0.000123456), number(0.0)
    ('0.250', '0.000123', '0.000')
    """
    small = value is not None and 0 < abs(value) < 0.01
    return f"{value:.3g}" if small else score(value)


def plain(value: object) -> str:
    """Plain data (as in a JSON or YAML file) as a short text.

    >>> plain(True), plain(None), plain([1, 2.5]), plain({"a": 1}), plain(1e-05)
    ('yes', 'none', '1, 2.5', 'a: 1', '1e-05')
    """
    if value is None or value == "":
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {plain(item)}" for key, item in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(plain, value)) or "none"
    return str(value)


def capitalised(text: str) -> str:
    """With a capital first letter, the others as they are.

    >>> capitalised("foreground IoU")
    'Foreground IoU'
    """
    return text[:1].upper() + text[1:]


_CAPITALS = {
    word.lower(): word for word in ("IoU", "Dice", "F1", "PQ", "AP", "VOI", "Rand", "V", "HD95", "Hausdorff95", "CREMI")
}


_AT_THRESHOLD = re.compile(r"(accuracy|precision|recall|f1|pq|ap)_([0-9]{2})(?![0-9])")


def score_name(key: str) -> str:
    """The name of a score as a reader writes it.

    >>> score_name("foreground_iou"), score_name("ap_75_small"), score_name("iou_class_10")
    ('foreground IoU', 'AP at .75 small', 'IoU class 10')
    """
    words = _AT_THRESHOLD.sub(r"\1_at_.\2", key).split("_")
    return " ".join(_CAPITALS.get(word.lower(), word) for word in words if word) or key
