from __future__ import annotations

import os
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from anyscope.errors import BadInput, EnvironmentFault
from anyscope.running.engines import DaskScheduler, LocalProcesses, ThisProcess, choose_engine, worker_device


def double(task: int) -> int:
    return 2 * task


def device_of_worker(_: int) -> str | None:
    time.sleep(0.2)
    return worker_device()


def die_once(folder: Path, task: int) -> int:
    """Kill the worker at the first try of the third task."""
    mark = folder / "killed"
    if task == 3 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return task


def die(task: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return task


def refuse(task: int) -> int:
    raise BadInput("task", f"{task}")


@pytest.mark.parametrize("engine", [ThisProcess(), LocalProcesses(2, threads=1)], ids=["here", "processes"])
def test_every_task_is_done_once(engine):
    assert sorted(engine.run(double, range(7))) == [(n, 2 * n) for n in range(7)]
    assert list(engine.run(double, [])) == []
    with pytest.raises(BadInput, match="task"):
        list(engine.run(refuse, [1]))


def test_workers_get_devices_in_turn():
    found = {device for _, device in LocalProcesses(2, ("cuda:0", "cuda:1"), threads=1).run(device_of_worker, range(8))}
    assert found == {"cuda:0", "cuda:1"}
    assert worker_device() is None


def test_tasks_of_a_killed_worker_are_done_by_another(tmp_path):
    engine = LocalProcesses(2, threads=1)
    assert sorted(engine.run(partial(die_once, tmp_path), range(6))) == [(n, n) for n in range(6)]
    assert (tmp_path / "killed").exists()


def test_a_task_that_kills_every_worker_is_given_up():
    with pytest.raises(EnvironmentFault, match="killed 3 times"):
        list(LocalProcesses(1, threads=1).run(die, [0]))


def test_choice():
    assert choose_engine(1, None, ["cpu"]) == ThisProcess()
    assert choose_engine(3, None, ["cpu"]) == LocalProcesses(3, ("cpu",))
    assert choose_engine(1, "tcp://x:1", ["cpu"]) == DaskScheduler("tcp://x:1")
    with pytest.raises(BadInput, match="one of the two"):
        choose_engine(2, "tcp://x:1", ["cpu"])
    assert "2 processes on cpu" in LocalProcesses(2).describe()


@pytest.mark.filterwarnings("default")  # Dask and its event loop warn of their own affairs
def test_dask_does_tasks_and_survives_a_killed_worker(tmp_path):
    distributed = pytest.importorskip("distributed", reason="Dask is not installed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, local_directory=str(tmp_path)
    ) as cluster:
        engine = DaskScheduler(cluster.scheduler_address)
        assert sorted(engine.run(double, range(5))) == [(n, 2 * n) for n in range(5)]
        assert sorted(engine.run(partial(die_once, tmp_path), range(6))) == [(n, n) for n in range(6)]
        with pytest.raises(BadInput, match="task"):
            list(engine.run(refuse, [1]))
    assert (tmp_path / "killed").exists()


@pytest.mark.filterwarnings("default")
def test_a_scheduler_that_is_not_there(monkeypatch):
    pytest.importorskip("distributed", reason="Dask is not installed")
    monkeypatch.setattr("anyscope.running.engines._CONNECT", "1s")
    with pytest.raises(EnvironmentFault, match="cannot be reached"):
        list(DaskScheduler("tcp://127.0.0.1:1").run(double, [1]))
    with pytest.raises(EnvironmentFault, match="cannot be reached"):
        list(DaskScheduler("no address").run(double, [1]))
