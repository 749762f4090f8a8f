"""Memory that networks free and ask for again on the CPU."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
"""Parameters of glibc's mallopt, from malloc.h."""


def keep_freed_memory() -> bool:
    """Let this process keep the memory it frees instead of giving every large block back to the system.

    A network's maps are large blocks that are freed and asked for again with every layer; getting them as fresh pages
    took up to half of the time of a forward pass on the CPU (``python -m benchmarks allocator``). The peak does not
    change, but what was used stays with the process. Only glibc can do this; elsewhere nothing happens.

    Returns:
        Whether it took effect.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library, such as musl
        return False
    return bool(mallopt(_MMAP_MAX, 0)) and bool(mallopt(_TRIM_THRESHOLD, -1))
