"""A learned painter as a folder: settings, weights, and the scenes after which new ones are made.

```
PAINTER/painter.yaml            settings, dataset, pixel size, number of scenes
PAINTER/weights.safetensors     the generator
PAINTER/scenes.safetensors      for each scene the brightness of the background, then of its objects
PAINTER/scenes/0000.tif ...     label images, which any viewer shows
```
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors.torch import save_file

from anyscope.errors import BadInput
from anyscope.images import write_labels
from anyscope.images.image import read_labels
from anyscope.models.nets.generators import ResnetGenerator
from anyscope.models.storage import WEIGHTS_FILE, read_safetensors
from anyscope.running.atomic import atomic_folder
from anyscope.running.documents import dump_document, explain, read_mapping
from anyscope.synthesis.learning import new_generator
from anyscope.synthesis.painting import LearnedPainter
from anyscope.synthesis.scenes import Scene
from anyscope.synthesis.settings import PainterSettings

PAINTER_FILE, LEVELS_FILE = "painter.yaml", "scenes.safetensors"


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid")

    dataset: str
    pixel_size_nm: Annotated[float, Field(gt=0)] | None
    settings: PainterSettings
    scenes: Annotated[int, Field(ge=1, le=10_000)]


@dataclass(frozen=True, eq=False)
class StoredPainter:
    """What :func:`load_painter` gives: the painter, its scenes, and the pixel size of its images, None if unknown."""

    painter: LearnedPainter
    scenes: tuple[Scene, ...]
    pixel_size_nm: float | None


def save_painter(
    folder: Path,
    network: ResnetGenerator,
    scenes: tuple[Scene, ...],
    settings: PainterSettings,
    *,
    dataset: str,
    pixel_size_nm: float | None,
) -> None:
    """Save a painter as a folder, whole or not at all."""
    state = {key: tensor.detach().cpu().contiguous().clone() for key, tensor in network.state_dict().items()}
    document = _Document(
        dataset=dataset,
        pixel_size_nm=pixel_size_nm,
        settings=settings,
        scenes=len(scenes),
    )
    with atomic_folder(folder) as temporary:
        for number, scene in enumerate(scenes):
            write_labels(temporary / "scenes" / f"{number:04d}.tif", scene.labels[None], None)
        levels = {
            f"{number:04d}": torch.from_numpy(np.concatenate([[np.float32(scene.background)], scene.levels]))
            for number, scene in enumerate(scenes)
        }
        save_file(levels, temporary / LEVELS_FILE)
        save_file(state, temporary / WEIGHTS_FILE, metadata={"format": "pt"})
        (temporary / PAINTER_FILE).write_text(dump_document(document.model_dump(mode="json")), encoding="utf-8")


def find_painter(folder: Path) -> Path | None:
    """The folder of a painter: this one, or ``painter/`` of the run that trained it; None where there is none."""
    return next((each for each in (folder, folder / "painter") if (each / PAINTER_FILE).is_file()), None)


def load_painter(folder: Path, device: str = "cpu") -> StoredPainter:
    """Load a painter that was saved.

    Raises:
        BadInput: Files are missing or damaged.
    """
    found = find_painter(folder)
    if found is None:
        raise BadInput(folder, f"there is no {PAINTER_FILE} in it", "a painter, as made by 'data synth --like'")
    folder, path = found, found / PAINTER_FILE
    try:
        document = _Document.model_validate(read_mapping(path, "the description of a painter"))
    except ValidationError as error:
        key, problem = explain(error)
        raise BadInput(path, f"{key}: {problem}", "what 'data synth --like' has written") from None
    network = new_generator(document.settings)
    state = read_safetensors(folder / WEIGHTS_FILE)
    expected = {key: tensor.shape for key, tensor in network.state_dict().items()}
    if {key: tensor.shape for key, tensor in state.items()} != expected:
        raise BadInput(folder / WEIGHTS_FILE, "tensors that do not fit painter.yaml", "those that were saved with it")
    network.load_state_dict(state)
    record = {"dataset": document.dataset, "steps": document.settings.epochs * document.settings.steps_per_epoch}
    painter = LearnedPainter(network.to(device), record, device)
    return StoredPainter(painter, _read_scenes(folder, document.scenes), document.pixel_size_nm)


def _read_scenes(folder: Path, count: int) -> tuple[Scene, ...]:
    levels = read_safetensors(folder / LEVELS_FILE)
    scenes = []
    for number in range(count):
        file = folder / "scenes" / f"{number:04d}.tif"
        labels = read_labels(file)[0].astype(np.int32)
        own = levels.get(f"{number:04d}", torch.empty(0)).float().numpy()
        if own.shape != (int(labels.max(initial=0)) + 1,):
            raise BadInput(file, f"{labels.max(initial=0)} objects", f"{own.size - 1}, as in {LEVELS_FILE}")
        scenes.append(Scene(labels, own[1:], float(own[0])))
    return tuple(scenes)
