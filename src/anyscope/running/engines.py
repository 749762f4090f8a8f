"""Where work is done: in this process, in processes beside it, or on the workers of a Dask scheduler.

A task is plain data and the function that does it is a function of a module, so that either can travel. Results come
back in the order in which they are finished; whoever asked for them writes them down. Tasks are repeated where a worker
dies, so they must not leave anything behind but their result.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from anyscope.errors import BadInput, EnvironmentFault

Task = TypeVar("Task")
Result = TypeVar("Result")

_CONNECT = "20s"
"""How long a Dask scheduler is waited for."""
_ATTEMPTS = 3
"""How often a task is begun before the workers' deaths are blamed on it."""


class Engine(Protocol):
    """Something that does tasks."""

    def run(self, function: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[tuple[Task, Result]]:
        """Pairs of task and result, as they are finished. An exception of ``function`` is raised here."""

    def describe(self) -> str:
        """What it is, in a few words."""


@dataclass(frozen=True)
class ThisProcess:
    """One task after the other, here."""

    def run(self, function: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[tuple[Task, Result]]:
        """See :class:`Engine`."""
        for task in tasks:
            yield task, function(task)

    def describe(self) -> str:
        """See :class:`Engine`."""
        return "this process"


@dataclass(frozen=True)
class LocalProcesses:
    """Processes on this machine.

    Args:
        count: How many.
        devices: Torch devices they are given in turn; each sees its own as :func:`worker_device`.
        threads: Threads of each for torch; the processors divided among them where None.
    """

    count: int
    devices: tuple[str, ...] = ("cpu",)
    threads: int | None = None

    def run(self, function: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[tuple[Task, Result]]:
        """See :class:`Engine`. A pool whose worker was killed is replaced, and what was in work begun again."""
        left = list(enumerate(tasks))[::-1]
        attempts: dict[int, int] = {}
        while left:
            waiting: dict[Future[Result], tuple[int, Task]] = {}
            with self._pool() as pool:
                try:
                    while left or waiting:
                        while left and len(waiting) < 2 * self.count:
                            number, task = left.pop()
                            waiting[pool.submit(function, task)] = (number, task)
                        for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                            result = future.result()
                            yield waiting.pop(future)[1], result
                except BrokenProcessPool:
                    for number, task in waiting.values():
                        attempts[number] = attempts.get(number, 0) + 1
                        if attempts[number] >= _ATTEMPTS:
                            raise EnvironmentFault(
                                "worker process",
                                f"was killed {_ATTEMPTS} times",
                                remedy="most likely memory ran out: take fewer --jobs, or smaller images",
                            ) from None
                        left.append((number, task))
                except BaseException:
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise

    def _pool(self) -> ProcessPoolExecutor:
        # Forked children of a process with running threads (torch, OpenMP) can hang; spawned ones cannot.
        context = multiprocessing.get_context("spawn")
        numbers = context.SimpleQueue()
        for number in range(self.count):
            numbers.put(self.devices[number % len(self.devices)])
        return ProcessPoolExecutor(
            self.count, mp_context=context, initializer=_begin_worker, initargs=(numbers, self.threads or self._share())
        )

    def _share(self) -> int:
        return max(1, multiprocessing.cpu_count() // self.count)

    def describe(self) -> str:
        """See :class:`Engine`."""
        return f"{self.count} processes on {', '.join(self.devices)}"


@dataclass(frozen=True)
class DaskScheduler:
    """The workers of a Dask scheduler, on this machine or on a cluster.

    Args:
        address: Such as ``tcp://node1:8786``; what dask-jobqueue's clusters, ``dask scheduler`` and others print.
    """

    address: str

    def run(self, function: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[tuple[Task, Result]]:
        """See :class:`Engine`. Dask begins the tasks of a lost worker again on another one."""
        try:
            from distributed import Client, as_completed
        except ImportError:
            raise EnvironmentFault(
                "--scheduler", "Dask is not installed", remedy="pip install 'anyscope[dask]'"
            ) from None
        try:
            client = Client(self.address, timeout=_CONNECT, set_as_default=False)  # type: ignore[no-untyped-call]
        except (OSError, ValueError, TimeoutError) as error:
            raise EnvironmentFault(
                f"--scheduler {self.address}", f"cannot be reached ({error})", "the address of a running scheduler"
            ) from None
        with client:
            futures = {client.submit(function, task, pure=False): task for task in tasks}
            for future in as_completed(futures, loop=client.loop):  # type: ignore[no-untyped-call]
                # as_completed keeps nothing; the cluster should not either, once the result is here
                task, result = futures.pop(future), future.result()
                future.release()
                yield task, result

    def describe(self) -> str:
        """See :class:`Engine`."""
        return f"Dask scheduler {self.address}"


def choose_engine(jobs: int, scheduler: str | None, devices: Sequence[str], threads: int | None = None) -> Engine:
    """The engine that ``--jobs`` and ``--scheduler`` ask for.

    Args:
        jobs: Processes on this machine.
        scheduler: Address of a Dask scheduler, which stands above ``jobs``.
        devices: Torch devices of this machine that may be used.
        threads: Threads of each process for torch; the processors divided among them where None.
    """
    if scheduler is not None:
        if jobs > 1:
            raise BadInput("--jobs", "given together with --scheduler", "one of the two")
        return DaskScheduler(scheduler)
    return LocalProcesses(jobs, tuple(devices), threads) if jobs > 1 else ThisProcess()


_device: str | None = None


def worker_device() -> str | None:
    """The torch device that this worker process was given; None in a process that is no worker of ours."""
    return _device


def _begin_worker(devices: Any, threads: int) -> None:
    global _device
    _device = devices.get()
    import torch

    torch.set_num_threads(threads)
