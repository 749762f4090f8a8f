"""All that decides a prediction in blocks, as plain data: what every worker and every shard is given."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from anyscope.geometry import VoxelSize
from anyscope.images import Image, ReadOptions, open_image
from anyscope.inference import InferenceSettings
from anyscope.models.spec import SegmenterSpec
from anyscope.running.documents import dump_document, read_mapping
from anyscope.volumes.decoding import BlockDecoding, for_blocks
from anyscope.volumes.grid import BlockGrid

if TYPE_CHECKING:
    from anyscope.inference.engines import EngineNetwork
    from anyscope.models import Segmenter

PLAN_FILE = "plan.yaml"


class VolumePlan(BaseModel):
    """What is done with a volume, block by block.

    Args:
        source: The image.
        axes, voxel_size_nm, channel: As in :class:`anyscope.images.ReadOptions`.
        voxel: Size of a voxel (z, y, x) in nm, as given or as the file says.
        run: The run or segmenter.
        spec: What the segmenter is, with the decoder that was asked for.
        value_range: The grey levels that become 0 and 1, of the whole volume.
        grid: The blocks.
        inference: How a block is predicted.
        probabilities: Whether the foreground probability is written too.
        skip_empty: Whether blocks without contrast are background unseen.
        device: Where networks run.
        engine: Who computes on the CPU; a name of :data:`anyscope.inference.engines.ENGINES`.
        threads: Threads of each worker for torch; as the engine has it where None.
        workspace: Folder for what lies beside the output: blocks, ledgers, tables.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    axes: str | None = None
    voxel_size_nm: tuple[float, ...] | None = None
    channel: int | str | None = None
    voxel: tuple[float | None, float, float] | None = None
    run: str
    spec: dict[str, Any]
    value_range: tuple[float, float]
    grid: BlockGrid
    inference: InferenceSettings
    probabilities: bool = False
    skip_empty: bool = True
    device: str = "cpu"
    engine: str = "torch"
    threads: Annotated[int, Field(ge=1)] | None = None
    workspace: str

    @property
    def folder(self) -> Path:
        """The workspace."""
        return Path(self.workspace)

    @cached_property
    def segmenter_spec(self) -> SegmenterSpec:
        """The spec."""
        return SegmenterSpec.from_document(self.spec, self.folder / PLAN_FILE)

    @cached_property
    def decoding(self) -> BlockDecoding:
        """How maps become labels."""
        from anyscope.inference import decoder_of

        spec = self.segmenter_spec
        return for_blocks(decoder_of(spec), spec.task)

    @property
    def classes(self) -> int | None:
        """Number of classes of a mask; None for objects."""
        spec = self.segmenter_spec
        return spec.classes if spec.task == "semantic" else None

    def open(self) -> Image:
        """The image."""
        channel: Any = self.channel
        return open_image(self.source, ReadOptions(self.axes, self.voxel_size_nm, channel))

    @property
    def voxel_size(self) -> VoxelSize | None:
        """Size of a voxel, None where unknown."""
        return None if self.voxel is None else VoxelSize(*self.voxel)

    def load(self) -> Segmenter | EngineNetwork:
        """The segmenter, in evaluation mode, where it shall run."""
        import torch

        from anyscope.inference.engines import build_engine
        from anyscope.models import load_segmenter
        from anyscope.running.devices import choose_device
        from anyscope.running.engines import worker_device

        device = choose_device(worker_device() or self.device)
        segmenter = load_segmenter(Path(self.run), device)
        segmenter.spec = self.segmenter_spec
        return build_engine(segmenter.to(memory_format=torch.channels_last), self.engine)

    def write(self, path: Path) -> None:
        """Keep it, as YAML."""
        from anyscope.running.atomic import write_text

        write_text(path, dump_document(self.model_dump(mode="json")))

    @classmethod
    def read(cls, path: Path) -> Self:
        """The inverse of :meth:`write`."""
        return cls.model_validate(read_mapping(path, "the plan of a volume"))


def label_dtype(plan: VolumePlan, objects: int) -> np.dtype[np.unsignedinteger]:
    """Type of the labels of the volume: classes in the smallest one, objects in uint32, or uint64 beyond that."""
    if plan.classes is not None:
        return np.dtype(np.min_scalar_type(plan.classes - 1))
    return np.dtype(np.uint32 if objects < 2**32 else np.uint64)
