"""What libraries write into their logs while they read a file."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Remarks(logging.Filter):
    """Takes the warnings of one thread out of a log."""

    def __init__(self) -> None:
        super().__init__()
        self.remarks: list[str] = []
        self._thread = threading.get_ident()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.thread != self._thread or record.levelno < logging.WARNING:
            return True
        self.remarks.append(" ".join(record.getMessage().split()))
        return False


@contextmanager
def listening(*loggers: str) -> Iterator[list[str]]:
    """Keep the warnings of these loggers off the terminal and hand them to the caller.

    >>> with listening("tifffile") as remarks:
    ...     logging.getLogger("tifffile").warning("a tag is odd")
    >>> remarks
    ['a tag is odd']
    """
    listener = _Remarks()
    for name in loggers:
        logging.getLogger(name).addFilter(listener)
    try:
        yield listener.remarks
    finally:
        for name in loggers:
            logging.getLogger(name).removeFilter(listener)
