"""Bounds on what a file may make us allocate."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from anyscope.errors import BadInput, Subject

_CGROUP = Path("/sys/fs/cgroup/memory.max")


def memory_limit() -> int:
    """Bytes that this process could ever use: physical memory, or the limit of its control group where smaller."""
    limit = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        text = _CGROUP.read_text(encoding="ascii").strip()
    except OSError:
        return limit
    return min(limit, int(text)) if text.isdigit() else limit


def array_bytes(shape: Sequence[int], dtype: np.dtype[Any]) -> int:
    """Size of an array in bytes, without overflow."""
    return math.prod(int(length) for length in shape) * dtype.itemsize


def refuse_beyond_memory(subject: Subject, what: str, n_bytes: int) -> None:
    """Raise a BadInput where ``n_bytes`` could never be allocated; checked before anything is."""
    limit = memory_limit()
    if n_bytes > limit:
        gib = 2**30
        found = f"{what} needs {n_bytes / gib:,.1f} GiB"
        raise BadInput(subject, found, f"at most the {limit / gib:,.1f} GiB of memory here", "read a smaller region")


def refuse_impossible(subject: Subject, declared: int, stored: int, ratio: int) -> None:
    """Raise a BadInput where ``declared`` bytes cannot come out of ``stored`` bytes, compressed ``ratio`` to one."""
    if declared > stored * ratio:
        found = f"declares {declared:,} bytes of pixels, but stores only {stored:,} bytes"
        raise BadInput(subject, found, "a whole image", "the file is cut off or damaged; copy or export it again")
