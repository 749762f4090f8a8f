"""``anyscope predict --out NAME.ome.zarr`` and ``anyscope merge``: volumes block by block, in bounded memory."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from anyscope.datasets.folder import ImageRegion
from anyscope.errors import BadInput
from anyscope.geometry import Roi
from anyscope.images import Image, Intensity, ReadOptions, open_image, stem_of
from anyscope.inference import InferenceSettings, decoder_of
from anyscope.models import Segmenter
from anyscope.running.atomic import refuse_existing, remove
from anyscope.running.clusters import engine_for
from anyscope.running.engines import DaskScheduler
from anyscope.running.progress import duration, say
from anyscope.volumes.decoding import for_blocks
from anyscope.volumes.grid import Triple
from anyscope.volumes.plan import PLAN_FILE, VolumePlan
from anyscope.volumes.run import (
    Outcome,
    Part,
    join_blocks,
    predict_blocks,
    read_plan,
    refuse_failures,
    workspace_of,
)
from anyscope.volumes.sizing import Sizing, size_blocks
from anyscope.workflows.engine import choose_engine

if TYPE_CHECKING:
    from anyscope.running.engines import Engine

_PROBED_PX = 256


@dataclass(frozen=True)
class Workers:
    """Who does the blocks.

    Args:
        jobs: Processes on this machine.
        scheduler: Address of a Dask scheduler.
        cluster: YAML file of a batch system; see :mod:`anyscope.running.clusters`.
        shard: ``K/N``: only this part of the blocks, without joining them.
        threads: Threads of each local process.
    """

    jobs: int = 1
    scheduler: str | None = None
    cluster: Path | str | None = None
    shard: str | None = None
    threads: int | None = None

    @property
    def asked(self) -> bool:
        """Whether anything but one process was asked for."""
        return self != Workers()


@dataclass(frozen=True)
class BlockSettings:
    """How a volume is cut, where that shall not follow from memory and decoder.

    Args:
        core: Voxels (z, y, x) that are a block's own.
        overlap: Voxels that it decodes around these.
        skip_empty: Whether blocks without contrast are background unseen.
    """

    core: Triple | None = None
    overlap: Triple | None = None
    skip_empty: bool = True


def is_volume_output(out: Path) -> bool:
    """Whether an output is written block by block."""
    return out.name.endswith(".zarr")


def predict_volume(
    segmenter: Segmenter,
    run: Path,
    source: Path,
    out: Path,
    *,
    inference: InferenceSettings,
    read: ReadOptions,
    engine: str | None = None,
    probabilities: bool = False,
    table: Path | None = None,
    workers: Workers | None = None,
    blocks: BlockSettings | None = None,
    resume: bool = False,
    force: bool = False,
) -> Outcome | None:
    """Segment an image into an OME-Zarr, block by block.

    Args:
        segmenter: As :func:`anyscope.predict` has prepared it.
        run: Where it was loaded from: workers load it again.
        source: The image.
        out: The labels, ``.ome.zarr``. Everything else lies in ``NAME.blocks`` beside it.
        inference: Tiles and augmentation; its memory is what each worker may use in all.
        read: How to read the image where the file leaves it open.
        engine: Who computes on the CPU, as in :func:`anyscope.predict`; workers and ``resume`` keep the choice.
        probabilities: Also the foreground probability, as uint8, into ``NAME_probability.ome.zarr``.
        table: A copy of the table of objects, .csv or .parquet.
        workers: Who does the blocks.
        blocks: How the volume is cut.
        resume: Go on with what is there.
        force: Replace what is there.

    Returns:
        What became of the blocks; None where all was finished before.

    Raises:
        Incomplete: Some blocks could not be read; the others are done.
    """
    workers, blocks = workers or Workers(), blocks or BlockSettings()
    part = Part() if workers.shard is None else Part.parse(workers.shard)
    workspace = workspace_of(out)
    if resume and out.exists() and (workspace / "finished.json").is_file():
        say(f"{out} is finished already")
        return None
    if not resume and not force:
        refuse_existing(out)
        if part.of == 1:
            refuse_existing(workspace)
    image = open_image(source, read)
    before = VolumePlan.read(workspace / PLAN_FILE) if resume and (workspace / PLAN_FILE).is_file() else None
    plan, sizing = _plan(segmenter, run, source, image, workspace, inference, read, probabilities, blocks, before)
    recorded = None if before is None else before.engine
    whole = ImageRegion(stem_of(source), image, Roi.whole(image.shape[1:]), image.voxel_size_nm)
    plan = plan.model_copy(update={"engine": choose_engine(segmenter, engine, recorded, [whole], inference)[0]})
    cluster = None if workers.cluster is None else Path(workers.cluster)
    devices = _devices(inference.device)
    with engine_for(workers.jobs, workers.scheduler, cluster, devices, workers.threads) as pool:
        _describe(plan, sizing, image, segmenter, pool, workers.jobs, part)
        if force and part.of == 1:
            remove(out)
        outcome = predict_blocks(plan, pool, part, resume=resume, force=force)
        if part.of > 1:
            say(f"shard {part.number}/{part.of} is done; when all are: anyscope merge {out}")
        else:
            outcome = join_blocks(plan, pool, out, table)
    refuse_failures(outcome, out)
    return outcome


def merge(
    out: Path | str,
    *,
    table: Path | str | None = None,
    workers: Workers | None = None,
    resume: bool = False,
    force: bool = False,
) -> Outcome | None:
    """Join the shards of a prediction: ``anyscope predict ... --shard K/N`` for K from 1 to N must have run.

    Args:
        out: What ``predict`` was given as the output.
        table: A copy of the table of objects, .csv or .parquet.
        workers: Who does it.
        resume: Go on where it was interrupted; nothing is done where it is finished.
        force: Replace an output that is there.

    Raises:
        BadInput: Shards are missing or unfinished.
        Incomplete: Some blocks could not be read; the others are joined.
    """
    out, workers = Path(out), workers or Workers()
    workspace = workspace_of(out)
    if resume and out.exists() and (workspace / "finished.json").is_file():
        say(f"{out} is finished already")
        return None
    if not resume and not force:
        refuse_existing(out)
    plan = read_plan(workspace).model_copy(update={"workspace": str(workspace.resolve())})
    cluster = None if workers.cluster is None else Path(workers.cluster)
    with engine_for(workers.jobs, workers.scheduler, cluster, ("cpu",), workers.threads) as engine:
        outcome = join_blocks(plan, engine, out, None if table is None else Path(table))
    refuse_failures(outcome, out)
    return outcome


def _plan(
    segmenter: Segmenter,
    run: Path,
    source: Path,
    image: Image,
    workspace: Path,
    inference: InferenceSettings,
    read: ReadOptions,
    probabilities: bool,
    blocks: BlockSettings,
    before: VolumePlan | None,
) -> tuple[VolumePlan, Sizing]:
    spec = segmenter.spec
    if image.shape[0] != spec.channels:
        found, expected = f"{image.shape[0]} channels", f"{spec.channels}, what the network was trained on"
        raise BadInput(source, found, expected, "choose a channel, or grey, with --channel")
    voxel = image.voxel_size_nm
    sizing = size_blocks(
        segmenter,
        image,
        for_blocks(decoder_of(spec), spec.task),
        inference,
        pixel_size_nm=None if voxel is None else voxel.in_plane,
        memory=inference.memory_bytes,
        overlap=blocks.overlap,
        core=blocks.core,
    )
    plan = VolumePlan(
        source=_absolute(source),
        axes=read.axes,
        voxel_size_nm=read.voxel_size_nm,
        channel=read.channel,
        voxel=None if voxel is None else (voxel.z, voxel.y, voxel.x),
        run=str(run.resolve()),
        spec=spec.to_document(),
        value_range=_grey_range(spec.intensity, image) if before is None else before.value_range,
        grid=sizing.grid,
        inference=inference.model_copy(update={"memory_bytes": sizing.network}),
        probabilities=probabilities,
        skip_empty=blocks.skip_empty,
        device=inference.device,
        workspace=str(workspace.resolve()),
    )
    return plan, sizing


def _grey_range(intensity: Intensity, image: Image) -> tuple[float, float]:
    """The range of the whole volume, of what can be read of it."""
    unread: list[Roi] = []
    found = intensity.range_of(image, unread=unread)
    for box in unread:
        say(f"warning: {image.path.name}: {box} cannot be read; the range of grey levels is that of the rest")
    return found


def _absolute(source: Path) -> str:
    """The path from the root; what comes after a file's name (``file.h5:/raw``) stays."""
    return str(Path.cwd() / source)


def _devices(device: str) -> tuple[str, ...]:
    """The devices that local processes take in turn."""
    if device != "cuda":
        return (device,)
    import torch

    return tuple(f"cuda:{number}" for number in range(torch.cuda.device_count()))


def _describe(
    plan: VolumePlan, sizing: Sizing, image: Image, segmenter: Segmenter, engine: Engine, jobs: int, part: Part
) -> None:
    say(f"image: {Path(plan.source).name}: {image.describe()}")
    for note in image.notes:
        say(f"  {note}")
    share = 1 / part.of
    workers = 1 if isinstance(engine, DaskScheduler) else jobs
    seconds = _seconds_per_pixel(segmenter) * sizing.predicted * share / workers
    each = " for each worker" if isinstance(engine, DaskScheduler) else ""
    say(f"plan: {sizing.describe()}, about {duration(seconds)} of forward passes{each}, by {engine.describe()}")
    say(f"  grey levels {plan.value_range[0]:g} to {plan.value_range[1]:g} become 0 to 1; {plan.decoding.describe()}")
    if plan.skip_empty:
        say("  blocks in which no channel has two different numbers are background, unseen")
    if not sizing.exact:
        say("  the network sees farther than a block, or pixels are resampled: blocks differ a little from the whole")


def _seconds_per_pixel(segmenter: Segmenter) -> float:
    """Time of a forward pass, for each pixel of the volume in a slice."""
    import torch

    side = -(-_PROBED_PX // segmenter.stride) * segmenter.stride
    images = torch.zeros((1, segmenter.spec.in_channels, side, side), device=segmenter.mean.device)
    with torch.inference_mode():
        segmenter(images)
        started = time.perf_counter()
        segmenter(images)
        return (time.perf_counter() - started) / side**2
