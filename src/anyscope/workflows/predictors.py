"""What stands where a RUN does: our segmenter, another project's network, or a model that gives labels alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anyscope.contracts import Prediction, Unit
from anyscope.errors import BadInput
from anyscope.external import ForeignNetwork, LabelsAsLogits, is_foreign, open_foreign
from anyscope.images.resampling import resample_image, resample_labels, resampling_for
from anyscope.inference import InferenceSettings, Network, segment
from anyscope.instances import Components
from anyscope.models import Segmenter, load_segmenter

AnyModel = Segmenter | ForeignNetwork | LabelsAsLogits


def open_model(run: Path | str, *, trust: bool = False) -> AnyModel:
    """Our segmenter of a run, or another project's model.

    Raises:
        BadInput: There is none, or it cannot be opened.
    """
    if not is_foreign(run):
        return load_segmenter(Path(run))
    model = open_foreign(run, trust=trust)
    return model if isinstance(model, ForeignNetwork) else LabelsAsLogits(model.spec, model)


def tiled_for(model: AnyModel, settings: InferenceSettings) -> InferenceSettings:
    """The settings, with the largest tile that a foreign network is given."""
    if not isinstance(model, ForeignNetwork):
        return settings
    tile = model.tile if settings.tile is None else min(settings.tile, model.tile)
    return settings.model_copy(update={"tile": tile})


def refuse_for_labels(model: AnyModel, settings: InferenceSettings, **asked: object) -> None:
    """Refuse what needs maps where a model gives labels alone.

    Args:
        model: The model.
        settings: How it is to be carried out.
        asked: Options and what was given for them; None or False where nothing was.

    Raises:
        BadInput: It names the option.
    """
    if not isinstance(model, LabelsAsLogits):
        return
    given = {**asked, "tta": settings.augmentation != "none", "tile": settings.tile, "memory": settings.memory_bytes}
    for option, value in given.items():
        if value not in (None, False):
            raise BadInput(f"--{option}", "given for a model that gives labels alone", "a network")


def predict_image(
    model: Network | LabelsAsLogits, image: Unit, pixel_size_nm: float | None, settings: InferenceSettings
) -> Prediction:
    """The labels of an image (c, z, y, x) in 0..1, and its probability where the model has any."""
    if not isinstance(model, LabelsAsLogits):
        return segment(model, image, pixel_size_nm, settings)
    spec = model.spec
    if image.shape[0] != spec.channels:
        raise BadInput("image", f"{image.shape[0]} channels", f"{spec.channels}, as described", "choose with --channel")
    own = (image.shape[-2], image.shape[-1])
    resampling = resampling_for(pixel_size_nm, spec.pixel_size_nm, spec.input.zoom)
    working = resampling.working_shape(own)
    shown = np.stack([resample_image(image[:, z], working) for z in range(image.shape[1])], axis=1)
    labels = model.answer(shown)
    if spec.task == "instances" and not model.gives_objects:
        labels = Components()({"mask": (labels > 0).astype(np.float32)})
    labels = resample_labels(labels, own)
    return Prediction(labels, None, (resampling.note,) if resampling.note else ())
