"""Dask clusters of a batch system, from a small YAML file.

```yaml
system: slurm            # or lsf, pbs, sge
jobs: 16                 # so many jobs, or adapt: [0, 16] for as many as there is work for
cores: 4                 # all below is dask-jobqueue's, under its names
memory: 16GiB
walltime: "04:00:00"
queue: normal
```
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from anyscope.errors import BadInput, EnvironmentFault
from anyscope.running.documents import explain, read_mapping
from anyscope.running.engines import DaskScheduler, Engine, choose_engine

_CLASSES = {"slurm": "SLURMCluster", "lsf": "LSFCluster", "pbs": "PBSCluster", "sge": "SGECluster"}
Count = Annotated[int, Field(ge=0, le=100_000)]


class ClusterSettings(BaseModel):
    """A cluster of a batch system. Keys that are not named here go to dask-jobqueue's class as they are.

    Args:
        system: The batch system.
        jobs: How many jobs are submitted.
        adapt: Least and most jobs, as there is work; stands in for ``jobs``.
        cores: Threads of a job.
        memory: Of a job.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    system: Literal["slurm", "lsf", "pbs", "sge"]
    jobs: Count = 1
    adapt: tuple[Count, Count] | None = None
    cores: Annotated[int, Field(ge=1)]
    memory: str

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.adapt is not None and not self.adapt[0] <= self.adapt[1]:
            raise ValueError("adapt needs the least number of jobs first")
        return self

    @classmethod
    def read(cls, path: Path) -> Self:
        """From a file.

        Raises:
            BadInput: A key is missing or wrong.
        """
        try:
            return cls.model_validate(read_mapping(path, "the settings of a cluster"))
        except ValidationError as error:
            key, problem = explain(error)
            raise BadInput(path, f"key {key!r}: {problem}", "system, jobs or adapt, cores, memory, ...") from None

    def start(self) -> Any:
        """The cluster of dask-jobqueue; no job is submitted yet.

        Raises:
            EnvironmentFault: dask-jobqueue is not installed.
            BadInput: It does not know a key.
        """
        try:
            import dask_jobqueue
        except ImportError:
            raise EnvironmentFault(
                "--cluster", "dask-jobqueue is not installed", remedy="pip install 'anyscope[cluster]'"
            ) from None
        given = {"processes": 1, **(self.model_extra or {}), "cores": self.cores, "memory": self.memory}
        try:
            return getattr(dask_jobqueue, _CLASSES[self.system])(**given)
        except (TypeError, ValueError) as error:
            raise BadInput(f"--cluster, {self.system}", str(error), "keys that dask-jobqueue knows") from None


@contextmanager
def engine_for(
    jobs: int, scheduler: str | None, cluster: Path | None, devices: tuple[str, ...], threads: int | None = None
) -> Iterator[Engine]:
    """The engine that ``--jobs``, ``--scheduler`` or ``--cluster`` ask for; a cluster ends with the block.

    Raises:
        BadInput: More than one of them.
        EnvironmentFault: The scheduler cannot be reached.
    """
    if cluster is None:
        engine = choose_engine(jobs, scheduler, devices, threads)
        if isinstance(engine, DaskScheduler):
            list(engine.run(abs, []))  # before anything is made: is it there?
        yield engine
        return
    if jobs > 1 or scheduler is not None:
        raise BadInput("--cluster", "given together with --jobs or --scheduler", "one of them")
    settings = ClusterSettings.read(cluster)
    with settings.start() as started:
        if settings.adapt is None:
            started.scale(jobs=settings.jobs)
        else:
            started.adapt(minimum_jobs=settings.adapt[0], maximum_jobs=settings.adapt[1])
        yield DaskScheduler(started.scheduler_address)
