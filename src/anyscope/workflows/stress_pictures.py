"""The pictures of an assay, made again as its cells were: what the conditions do to an image, and to a prediction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyscope.assay.conditions import CLEAN, Condition
from anyscope.assay.degrade import Shown, attack, corrupt, untouched
from anyscope.assay.inputs import AssayImage
from anyscope.assay.measure import Workshop, count
from anyscope.assay.plan import MAIN, AssayPlan
from anyscope.assay.scores import AssayScores
from anyscope.assay.subjects import NetworkSubject
from anyscope.attacks import ATTACKS
from anyscope.contracts import Labels
from anyscope.corruptions import CORRUPTIONS
from anyscope.errors import BadInput
from anyscope.inference.network import device_of
from anyscope.metrics import default_protocol
from anyscope.metrics.protocols import Counts
from anyscope.reports.assay_figures import ranking_order
from anyscope.reports.assay_report import AssayPictures
from anyscope.reports.palette import PREDICTION, REFERENCE
from anyscope.reports.pictures import png_uri
from anyscope.reports.tiles import Strip, Tile, busiest_window, css, jpeg_uri, outline_path, unit_to_grey
from anyscope.running.progress import Progress, progress

TILE_PX = 144
_MANY = 25
_FEW_LEVELS = (1.0, 3.0, 5.0)
_SAME_SCORE = 0.005
"""Another device or number of threads may move a score by less than this."""


def assay_pictures(plan: AssayPlan, scores: AssayScores, stored: Mapping[tuple[str, ...], Any]) -> AssayPictures:
    """Pictures of the image whose clean score is nearest the median, and of what the best ranked network says of it.

    Args:
        plan: The assay's plan; its models and images are read again.
        scores: Its scores, by which network and image are chosen.
        stored: Counts of its cells, against which the scores of what is shown are checked.

    Raises:
        BadInput: Models or images are not where they were, or none of the models is a network.
    """
    networks = {ref.name for ref in plan.subjects if ref.path is not None}
    model = next((m for m in ranking_order(scores) if scores.models[m] in networks), None)
    if model is None:
        raise BadInput("pictures", "no network among the models", "at least one")
    shop = Workshop(plan)
    subject = shop.subject(scores.models[model])
    if not isinstance(subject, NetworkSubject):
        raise BadInput(scores.models[model], "cannot be loaded", "the run that was assayed")
    image = shop.data(MAIN).image(typical_image(scores, model), subject.convention)
    shown = {
        name: _levels(group, len(scores.names("corruption")))
        for name, group in scores.series.items()
        if group[0].kind == "corruption"
    }
    pictured = scores.names("attack", "black-box", "control")
    attacked = {name: scores.series[name][len(scores.series[name]) // 2] for name in pictured}
    total = sum(map(len, shown.values())) + len(attacked)
    with progress("pictures", total, "pictures") as told:
        easel = _Easel(plan, scores, model, subject, image, shop.data(MAIN).has_objects, stored, told)
        corruptions = (easel.clean(), *(easel.corruption(name, levels) for name, levels in shown.items()))
        attacks = tuple(easel.attack(name, condition) for name, condition in attacked.items())
    return AssayPictures(subject.name, image.name, corruptions, attacks, tuple(easel.doubts()))


def typical_image(scores: AssayScores, model: int) -> str:
    """The image whose clean score is nearest the median of the model's, the first of several."""
    values = scores.tally.per_image()[model, scores.conditions.index(CLEAN)]
    if not np.isfinite(values).any():
        return scores.tally.images[0]
    return scores.tally.images[int(np.nanargmin(np.abs(values - np.nanmedian(values))))]


def _levels(group: tuple[Condition, ...], corruptions: int) -> tuple[Condition, ...]:
    if corruptions <= _MANY:
        return group
    return tuple(condition for condition in group if condition.level in _FEW_LEVELS) or group[:1]


@dataclass
class _Easel:
    """Draws one image under one condition after another.

    Args:
        plan, scores, stored: As for :func:`assay_pictures`.
        model: Place of the network among the models.
        subject: The network.
        image: The image.
        objects: Whether the labels tell objects apart.
        told: Told of every picture.
    """

    plan: AssayPlan
    scores: AssayScores
    model: int
    subject: NetworkSubject
    image: AssayImage
    objects: bool
    stored: Mapping[tuple[str, ...], Any]
    told: Progress

    def __post_init__(self) -> None:
        self._z = self.image.unit.shape[1] // 2
        self._before = untouched(self.image)
        self._window = busiest_window(self._kind(self._before.labels)[self._z], TILE_PX)
        self._differ: list[str] = []
        self._made = 0

    def clean(self) -> Strip:
        """The image alone, and with outlines."""
        alone = self._tile(self._pixels(self._before), "image", f"{self.image.name}: the image")
        return Strip("clean", "the image as it is", (alone, self._judged(CLEAN, self._before, "clean")))

    def corruption(self, name: str, conditions: tuple[Condition, ...]) -> Strip:
        """The image under a corruption at several severities."""
        tiles = []
        for condition in conditions:
            intensity, device = self.subject.convention.intensity, str(device_of(self.subject.segmenter))
            (shown,) = corrupt(condition, [self.image], intensity, self.plan.seed, device)
            tiles.append(self._judged(condition, shown, f"severity {condition.level:g}"))
            self.told.advance(note=condition.key)
        kind = CORRUPTIONS[name]
        return Strip(name, f"{kind.family}: {kind.summary}", tuple(tiles))

    def attack(self, name: str, condition: Condition) -> Strip:
        """Image, perturbation, attacked image, prediction before and after."""
        (shown,) = attack(condition, [self.image], self.subject.segmenter, self.plan.seed, self.plan.attack_steps)
        self.told.advance(note=condition.key)
        change = 255 * (self._plane(shown) - self._plane(self._before))
        largest = float(np.abs(change).max())
        factor = max(1, int(127 / largest)) if largest > 0 else 1
        grey = np.rint(np.clip(128 + factor * change, 0, 255)).astype(np.uint8)
        what = f"{self.image.name} under {condition.key}"
        height, width = grey.shape
        tiles = (
            self._tile(self._pixels(self._before), "image", f"{self.image.name}: the image"),
            Tile(png_uri(grey), width, height, f"change \N{MULTIPLICATION SIGN} {factor}", f"{what}: the change"),
            self._tile(self._pixels(shown), "attacked image", f"{what}: the attacked image"),
            self._judged(CLEAN, self._before, "before"),
            self._judged(condition, shown, "after"),
        )
        size = f"epsilon {condition.level:g}/255" + (", l2, root mean square" if condition.norm == "l2" else "")
        return Strip(name, f"{size}: {ATTACKS[condition.name].summary}", tiles)

    def doubts(self) -> Iterator[str]:
        """What in the pictures is not what was scored."""
        if self._differ:
            yield (
                f"{len(self._differ)} of {self._made} pictures were made again with another score than that in the "
                f"ledger ({', '.join(self._differ[:5])}): files, versions or the device changed since."
            )

    def _judged(self, condition: Condition, shown: Shown, caption: str) -> Tile:
        """The image with the outlines of reference and prediction, and its score in the corner."""
        (verdict,) = self.subject.judge([shown.unit])
        instances = self.subject.segmenter.spec.task == "instances"
        prediction = np.where(shown.valid, verdict.objects if instances else verdict.mask, 0)
        self._check(condition, count(shown, verdict, self.subject.classes, self.objects))
        outlines = tuple(
            (outline_path(np.ascontiguousarray(labels[self._z][self._window])), css(colour))
            for labels, colour in ((self._kind(shown.labels), REFERENCE), (prediction, PREDICTION))
        )
        place = self.scores.tally.images.index(self.image.name)
        value = self.scores.tally.per_image()[self.model, self.scores.conditions.index(condition), place]
        alt = f"{self.image.name} under {condition.key} with outlines of reference and prediction"
        return self._tile(self._pixels(shown), caption, alt, f"{value:.2f}" if np.isfinite(value) else "", outlines)

    def _check(self, condition: Condition, found: dict[str, Any]) -> None:
        self._made += 1
        before = self.stored.get((self.subject.name, condition.key, self.image.name))
        protocol = default_protocol("semantic", self.subject.classes)
        values = [
            protocol.scores(Counts.from_json(result["mask"]))[protocol.headline] if result else None
            for result in (before, found)
        ]
        if any(value is None for value in values) != all(value is None for value in values) or (
            values[0] is not None and values[1] is not None and abs(values[0] - values[1]) > _SAME_SCORE
        ):
            self._differ.append(condition.key)

    def _kind(self, reference: Labels) -> Labels:
        """The reference as the network is asked for it: objects, classes, or a mask."""
        spec = self.subject.segmenter.spec
        return reference if spec.task == "instances" or spec.classes > 2 else (reference > 0).astype(np.uint8)

    def _plane(self, shown: Shown) -> NDArray[np.float32]:
        plane: NDArray[np.float32] = shown.unit[:, self._z].mean(axis=0)[self._window]
        return plane

    def _pixels(self, shown: Shown) -> NDArray[np.uint8]:
        return unit_to_grey(self._plane(shown))

    def _tile(
        self,
        grey: NDArray[np.uint8],
        caption: str,
        alt: str,
        corner: str = "",
        outlines: tuple[tuple[str, str], ...] = (),
    ) -> Tile:
        height, width = grey.shape
        return Tile(jpeg_uri(grey), width, height, caption, alt, corner, tuple(pair for pair in outlines if pair[0]))
