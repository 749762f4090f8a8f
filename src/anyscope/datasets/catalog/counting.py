"""Progress in bytes, shown in a unit that suits the size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from anyscope.running.progress import progress

_MANY = 10**7


@contextmanager
def counted_bytes(task: str, total: int, done: int = 0) -> Iterator[Callable[[int], None]]:
    """Report the progress of ``task``; the call that is given takes the number of further bytes.

    Args:
        task: What is done.
        total: Bytes in all, as far as it is known.
        done: Bytes that an earlier call has done.
    """
    unit, name = (10**6, "MB") if total >= _MANY else (10**3, "kB")
    so_far = done
    with progress(task, -(-total // unit), name, done // unit) as shown:

        def advance(count: int) -> None:
            nonlocal so_far
            before, so_far = so_far, so_far + count
            # The last, partial unit counts too.
            after = -(-so_far // unit) if so_far >= total else so_far // unit
            if after > before // unit:
                shown.advance(after - before // unit)

        yield advance
