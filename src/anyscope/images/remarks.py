"""What libraries write into their logs while they read a file."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Remarks(logging.Handler):
    """Collects the warnings of one thread."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.remarks: list[str] = []
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self.remarks.append(" ".join(record.getMessage().split()))


@contextmanager
def listening(*loggers: str) -> Iterator[list[str]]:
    """Keep these loggers off the terminal and hand their remarks to the caller.

    >>> with listening("tifffile") as remarks:
    ...     logging.getLogger("tifffile").warning("a tag is odd")
    >>> remarks
    ['a tag is odd']
    """
    handler = _Remarks()
    for name in loggers:
        logging.getLogger(name).propagate = False
        logging.getLogger(name).addHandler(handler)
    try:
        yield handler.remarks
    finally:
        for name in loggers:
            logging.getLogger(name).removeHandler(handler)
