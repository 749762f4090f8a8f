"""What can be said of a candidate: its score on labelled source images, and traits of what it makes of the target."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from anyscope.adaptation.candidates import Judgement
from anyscope.adaptation.traits import Traits, measure_traits
from anyscope.adaptation.views import Cuts, View, read_labels_only, read_views
from anyscope.contracts import Labels, Task, Unit
from anyscope.datasets import LabelledImages, UnlabelledImages
from anyscope.images.resampling import resample_image
from anyscope.inference import InferenceSettings, decoder_of, predict_maps
from anyscope.instances import foreground_probability, split_maps
from anyscope.metrics import default_protocol
from anyscope.models import InputTransform, Segmenter, SegmenterSpec
from anyscope.seeding import generator

_SCALE = 0.9
_NOISE = 0.03

Maps = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Exam:
    """What all candidates of a step are judged on: made once, the same for each.

    Args:
        source: Views of source validation images, with labels; none where there is no validation.
        target: Views of target images.
        reference: Traits of the source's training labels.
        source_input: How source images are shown to a network.
    """

    source: tuple[View, ...]
    target: tuple[View, ...]
    reference: Traits
    source_input: InputTransform

    @classmethod
    def read(
        cls,
        train: LabelledImages,
        validation: LabelledImages | None,
        target: UnlabelledImages,
        spec: SegmenterSpec,
        source_input: InputTransform,
        cuts: Cuts | None = None,
    ) -> Self:
        """Read the views. Target images are cut and resampled as ``spec.input`` says.

        Args:
            train: The training part of the source: its labels alone are looked at.
            validation: The validation part of the source; None where there is none.
            target: Images of the target.
            spec: That of the candidates.
            source_input: How source images are shown to them.
            cuts: How much is looked at.
        """
        cuts = (cuts or Cuts()).for_domains(train.regions, target.regions)
        labels, valid = read_labels_only(train.regions, spec, source_input.zoom, cuts)
        return cls(
            () if validation is None else read_views(validation.regions, spec, source_input.zoom, cuts),
            read_views(target.regions, spec, spec.input.zoom, cuts),
            measure_traits(labels, spec.task, valid=valid),
            source_input,
        )


@dataclass(frozen=True, eq=False)
class Judged:
    """A judgement with the predictions (z, y, x) of the target's views that it rests on."""

    judgement: Judgement
    predictions: tuple[Labels, ...]


def judge(
    segmenter: Segmenter,
    epoch: int,
    exam: Exam,
    *,
    previous: Sequence[Labels] | None = None,
    settings: InferenceSettings | None = None,
) -> Judged:
    """Judge a candidate. No label of the target can take part: the exam holds none.

    Predictions are decoded at working pixels, by the decoder of the spec or the default one, the same on both domains.
    The score is the headline of the task's protocol, over all source views. Each target view is predicted once more in
    one of three variants by turns: turned by half, made smaller by a tenth, or with noise of .03; stability is the IoU
    between the two predictions over all views, brought back to the same place.

    Args:
        segmenter: The candidate.
        epoch: Its epoch.
        exam: What it is judged on.
        previous: Predictions of the same views by its teacher or by the candidate before, for agreement.
        settings: Of inference.
    """
    settings = settings or InferenceSettings()
    task, own_input = segmenter.spec.task, segmenter.spec.input
    known = predict_views(segmenter, exam.source, exam.source_input, settings)
    found = predict_views(segmenter, exam.target, own_input, settings)
    with segmenter.seeing(_at_working_pixels(own_input)):
        varied = [_predict_varied(segmenter, view, number, settings) for number, view in enumerate(exam.target)]
    predictions = tuple(labels for labels, _ in found)
    judgement = Judgement(
        epoch=epoch,
        source_score=_score(exam.source, [labels for labels, _ in known], segmenter.spec) if known else None,
        source=_traits(exam.source, known, task) if known else None,
        target=_traits(exam.target, found, task),
        agreement=None if previous is None else agreement(predictions, previous, task),
        stability=agreement(predictions, varied, task),
    )
    return Judged(judgement, predictions)


def predict_views(
    segmenter: Segmenter, views: Sequence[View], shown: InputTransform, settings: InferenceSettings | None = None
) -> list[tuple[Labels, Maps]]:
    """Labels and foreground probability (z, y, x) of views, which are at working pixels already.

    Args:
        segmenter: What predicts.
        views: The views of one domain.
        shown: How images of this domain are shown to it.
        settings: Of inference.
    """
    settings = settings or InferenceSettings()
    with segmenter.seeing(_at_working_pixels(shown)):
        return [_predict(segmenter, view.image, view.core, settings) for view in views]


def agreement(one: Sequence[Labels], other: Sequence[Labels], task: Task) -> float | None:
    """IoU of two predictions of the same images, over all pixels; None where both are empty.

    Args:
        one, other: Label images of the same shapes.
        task: ``semantic``: pixels agree where they are of the same class above 0; ``instances``: where both are
            foreground.
    """
    both = either = 0
    for a, b in zip(one, other, strict=True):
        same = (a == b) & (a > 0) if task == "semantic" else (a > 0) & (b > 0)
        both += int(same.sum())
        either += int(((a > 0) | (b > 0)).sum())
    return both / either if either else None


def _at_working_pixels(transform: InputTransform) -> InputTransform:
    """The transform for images that are at working pixels already."""
    return transform.model_copy(update={"zoom": 1.0})


def _predict(
    segmenter: Segmenter,
    image: Unit,
    core: slice,
    settings: InferenceSettings,
    undo: Callable[[Maps], Maps] | None = None,
) -> tuple[Labels, Maps]:
    """Labels and foreground probability (z, y, x) of the judged slices of a view."""
    spec = segmenter.spec
    values = predict_maps(segmenter, image, spec.pixel_size_nm, settings)[:, core]
    maps = split_maps(values if undo is None else undo(values), spec.layout)
    return decoder_of(spec)(maps), foreground_probability(maps)


def _predict_varied(segmenter: Segmenter, view: View, number: int, settings: InferenceSettings) -> Labels:
    """Labels of the judged slices of a view that is shown differently, in the place of the original."""
    image, shape = view.image, view.image.shape[-2:]
    if number % 3 == 0:
        return _predict(segmenter, _turned(image), view.core, settings, _turned)[0]
    if number % 3 == 1:
        smaller = max(1, round(shape[0] * _SCALE)), max(1, round(shape[1] * _SCALE))
        resized = _resized(image, smaller)
        return _predict(segmenter, resized, view.core, settings, lambda maps: _resized(maps, (shape[0], shape[1])))[0]
    noise = generator(0, "judging", number).standard_normal(image.shape, dtype=np.float32)
    noisy = np.clip(image + np.float32(_NOISE) * noise, 0, 1)
    return _predict(segmenter, noisy, view.core, settings)[0]


def _turned(values: Maps) -> Maps:
    """Images (c, z, y, x) turned by half."""
    return np.ascontiguousarray(values[..., ::-1, ::-1])


def _resized(values: Maps, shape: tuple[int, int]) -> Maps:
    """Images (c, z, y, x) at another height and width."""
    return np.stack([resample_image(values[:, z], shape) for z in range(values.shape[1])], axis=1)


def _traits(views: Sequence[View], found: Sequence[tuple[Labels, Maps]], task: Task) -> Traits:
    valid = [
        np.ones(labels.shape, bool) if view.valid is None else view.valid
        for view, (labels, _) in zip(views, found, strict=True)
    ]
    return measure_traits([labels for labels, _ in found], task, [probability for _, probability in found], valid)


def _score(views: Sequence[View], predictions: Sequence[Labels], spec: SegmenterSpec) -> float | None:
    """The headline score over all views; None where it is undefined."""
    protocol = default_protocol(spec.task, spec.classes, views[0].objects if views else None)
    counts = [
        protocol.measure(view.reference, labels, valid=view.valid)
        for view, labels in zip(views, predictions, strict=True)
        if view.reference is not None and view.valid is not None
    ]
    score = float(protocol.scores(protocol.pool(counts))[protocol.headline])
    return None if math.isnan(score) else score
