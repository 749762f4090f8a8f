"""Real Dask workers, one of them killed; a driver killed; the job script of a batch system."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

from anyscope.errors import BadInput, EnvironmentFault
from anyscope.images import write_image
from anyscope.running.clusters import ClusterSettings, engine_for
from anyscope.running.engines import ThisProcess
from anyscope.volumes.run import workspace_of
from anyscope.workflows.predict_volume import BlockSettings, Workers
from tests.volumes.conftest import digest, noise, save_tiny
from tests.volumes.test_run import predict


@pytest.fixture(scope="module")
def expected(tmp_path_factory, tiny_run, noisy):
    out = tmp_path_factory.mktemp("expected") / "labels.ome.zarr"
    predict(tiny_run, noisy, out)
    return digest(out)


def kill_one(cluster, workspace):
    """Kill a worker as soon as a block is done."""
    while not any((workspace / "blocks").rglob("objects.npy")):
        time.sleep(0.01)
    victim = next(iter(cluster.workers.values()))
    os.kill(victim.pid, signal.SIGKILL)


@pytest.mark.filterwarnings("default")  # Dask and its event loop warn of their own affairs
def test_dask_workers_give_the_same_bytes_though_one_is_killed(tmp_path, tiny_run, noisy, expected):
    distributed = pytest.importorskip("distributed", reason="Dask is not installed")
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        dashboard_address=None,
        local_directory=str(tmp_path / "dask"),
    ) as cluster:
        out = tmp_path / "labels.ome.zarr"
        killer = threading.Thread(target=kill_one, args=(cluster, workspace_of(out)))
        killer.start()
        small = BlockSettings(core=(6, 30, 35))  # enough blocks for one to be under way
        predict(tiny_run, noisy, out, workers=Workers(scheduler=cluster.scheduler_address), blocks=small)
        killer.join()
    assert digest(out) == expected


@pytest.mark.filterwarnings("default")
def test_a_scheduler_that_is_not_there_leaves_nothing(tmp_path, tiny_run, noisy, monkeypatch):
    pytest.importorskip("distributed", reason="Dask is not installed")
    monkeypatch.setattr("anyscope.running.engines._CONNECT", "1s")
    with pytest.raises(EnvironmentFault, match="cannot be reached"):
        predict(tiny_run, noisy, tmp_path / "a.ome.zarr", workers=Workers(scheduler="tcp://127.0.0.1:1"))
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_killed_driver_and_resume(tmp_path, jobs):
    run = save_tiny(tmp_path / "segmenter", neighbours=1)
    write_image(tmp_path / "volume.ome.zarr", noise((24, 256, 256))[None])
    command = [sys.executable, "-m", "anyscope.cli", "predict", run, tmp_path / "volume.ome.zarr", "--jobs", jobs]
    command = [*map(str, command), "--memory", "652MiB", "--device", "cpu", "--out"]
    whole, killed = tmp_path / "whole.ome.zarr", tmp_path / "killed.ome.zarr"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*command, str(whole)], check=True, env=environment)
    process = subprocess.Popen([*command, str(killed)], env=environment, start_new_session=True)
    while process.poll() is None and len(list(workspace_of(killed).rglob("objects.npy"))) < 3:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not killed.exists()
    subprocess.run([*command, str(killed), "--resume"], check=True, env=environment)
    assert digest(killed) == digest(whole)


SLURM = """
system: slurm
jobs: 3
cores: 4
memory: 16GiB
walltime: "04:00:00"
queue: normal
job_extra_directives: ["--gres=gpu:1"]
"""


@pytest.mark.filterwarnings("default")
def test_the_job_script_of_a_batch_system(tmp_path):
    pytest.importorskip("dask_jobqueue", reason="dask-jobqueue is not installed")
    path = tmp_path / "slurm.yaml"
    path.write_text(SLURM)
    settings = ClusterSettings.read(path)
    with settings.start() as cluster:
        script = cluster.job_script()
    for line in ("#SBATCH -p normal", "#SBATCH --cpus-per-task=4", "#SBATCH --mem=16G", "#SBATCH -t 04:00:00"):
        assert line in script
    assert "#SBATCH --gres=gpu:1" in script
    assert "distributed.cli.dask_worker tcp://" in script
    assert "--nthreads 4" in script
    path.write_text(SLURM.replace("slurm", "lsf", 1).replace("--gres", "-gpu"))
    if shutil.which("bsub") is None:
        with ClusterSettings.read(path).start() as cluster:
            assert "#BSUB" in cluster.job_script()


@pytest.mark.filterwarnings("default")
def test_wrong_settings_of_a_cluster(tmp_path):
    path = tmp_path / "cluster.yaml"
    for text, match in (
        ("system: torque\ncores: 1\nmemory: 1GiB\n", "system"),
        ("system: slurm\nmemory: 1GiB\n", "cores"),
        ("system: slurm\ncores: 1\nmemory: 1GiB\nadapt: [3, 1]\n", "least"),
    ):
        path.write_text(text)
        with pytest.raises(BadInput, match=match):
            ClusterSettings.read(path)
    path.write_text(SLURM)
    with pytest.raises(BadInput, match="one of them"), engine_for(2, None, path, ("cpu",)):
        pass
    with engine_for(1, None, None, ("cpu",)) as engine:
        assert engine == ThisProcess()
