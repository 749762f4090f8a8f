"""One block: read, predict, decode, measure, keep. This runs on workers, and leaves nothing behind but its folder."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anyscope.errors import BadInput, EnvironmentFault
from anyscope.geometry import Roi
from anyscope.images import Image, to_unit
from anyscope.inference import decodable
from anyscope.inference.engines import EngineNetwork
from anyscope.models import Segmenter
from anyscope.volumes.grid import Block
from anyscope.volumes.objects import measure
from anyscope.volumes.plan import VolumePlan
from anyscope.volumes.storage import BlockStore

_ATTEMPTS = 3
_PAUSE_S = 0.5
"""Before a region is read again; twice as long after that."""


class BlockTask(NamedTuple):
    """A block to do.

    Args:
        number: Its number.
        ahead: The block that will be done here after it, which is read meanwhile; None where that is not known.
    """

    number: int
    ahead: int | None = None


class BlockResult(NamedTuple):
    """What became of a block.

    Args:
        objects: Number of objects it decoded, those of its overlap included; 0 for masks.
        empty: Whether it was skipped.
        stored: Whether it left data; without any it is background.
        failure: Why its image could not be read; None where it could.
    """

    objects: int = 0
    empty: bool = False
    stored: bool = False
    failure: str | None = None


def do_block(plan: VolumePlan, task: BlockTask) -> BlockResult:
    """Do a block of a plan."""
    return _worker(plan).do(task)


@dataclass
class _Worker:
    """What a process keeps between blocks."""

    plan: VolumePlan
    image: Image
    segmenter: Segmenter | EngineNetwork
    reader: ThreadPoolExecutor
    reading: tuple[int, Future[NDArray[Any]]] | None = None

    def do(self, task: BlockTask) -> BlockResult:
        plan, block = self.plan, self.plan.grid.block(task.number)
        try:
            stored = self._take(block)
        except (BadInput, EnvironmentFault) as error:
            self._begin(task.ahead)
            return BlockResult(failure=str(error))
        self._begin(task.ahead)
        if plan.skip_empty and is_empty(stored):
            return BlockResult(empty=True)
        unit = to_unit(stored, plan.value_range)
        del stored
        return self._predict(block, unit)

    def _predict(self, block: Block, unit: NDArray[np.float32]) -> BlockResult:
        plan = self.plan
        decoding = plan.decoding
        first = [a - b for a, b in zip(block.decoded.start, block.read.start, strict=True)]
        planes = first[0], first[0] + block.decoded.shape[0]
        pixel_size = None if self.image.voxel_size_nm is None else self.image.voxel_size_nm.in_plane
        found = decodable(self.segmenter, unit, pixel_size, plan.inference, planes=planes)
        del unit
        found = found.crop((first[1], first[2]), (block.decoded.shape[1], block.decoded.shape[2]))
        labels = np.ascontiguousarray(found.labels(decoding.decoder))
        z, y, x = (-at for at in block.decoded.start)
        core = block.core.shift((z, y, x)).slices
        wanted = plan.probabilities or decoding.joining != "nothing"
        probability = np.ascontiguousarray(found.probability[core]) if wanted else None
        del found
        n, objects = 0, None
        if decoding.joining != "nothing":
            n = int(labels.max(initial=0))
            objects = measure(labels[core], n, block.core.start, plan.grid.shape, probability)
        kept = None
        if plan.probabilities and probability is not None:
            kept = np.rint(np.clip(probability, 0, 1) * np.float32(255)).astype(np.uint8)
        stored = bool(n) or decoding.joining == "nothing" or kept is not None
        if stored:
            store = BlockStore(plan.folder, plan.grid, decoding.linker is not None)
            store.write(block, labels, objects, kept)
        return BlockResult(objects=n, stored=stored)

    def _take(self, block: Block) -> NDArray[Any]:
        """The region of a block, read already or now."""
        if self.reading is not None and self.reading[0] == block.number:
            future, self.reading = self.reading[1], None
            return future.result()
        self.reading = None
        return self._read(block.read)

    def _begin(self, number: int | None) -> None:
        if number is not None:
            self.reading = number, self.reader.submit(self._read, self.plan.grid.block(number).read)

    def _read(self, region: Roi) -> NDArray[Any]:
        for attempt in range(1, _ATTEMPTS):
            try:
                return self.image.read(region)
            except (BadInput, EnvironmentFault):
                time.sleep(_PAUSE_S * attempt)
        return self.image.read(region)


def is_empty(stored: NDArray[Any]) -> bool:
    """The rule for blocks that are background unseen: in what is read, no channel has two different numbers.

    NaN is no number. So padding around a specimen is skipped, whatever grey it has, and noise never is.

    >>> is_empty(np.array([[[[7, 7]]], [[[1, 1]]]])), is_empty(np.array([[[[7, 8]]]]))
    (True, False)
    """
    for channel in stored:
        if channel.dtype.kind != "f":
            if channel.min() != channel.max():
                return False
        elif not np.isnan(channel).all() and np.nanmin(channel) != np.nanmax(channel):
            return False
    return True


_known: dict[str, _Worker] = {}


def _worker(plan: VolumePlan) -> _Worker:
    """The image and the segmenter of a plan, opened once in a process; those of an earlier plan are dropped."""
    key = plan.model_dump_json()
    if key not in _known:
        _known.clear()
        if plan.threads is not None:
            import torch

            torch.set_num_threads(plan.threads)
        _known[key] = _Worker(plan, plan.open(), plan.load(), ThreadPoolExecutor(1))
    return _known[key]


def forget_workers() -> None:
    """Let go of what this process keeps between blocks."""
    _known.clear()
