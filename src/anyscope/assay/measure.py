"""Filling cells: a task's images under its condition, shown to its models, their answers counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from anyscope.assay.conditions import UNIVERSAL, Condition
from anyscope.assay.degrade import Shown, attack, corrupt, perturb, untouched
from anyscope.assay.inputs import AssayData, AssayImage
from anyscope.assay.perturbations import read_perturbation
from anyscope.assay.plan import AssayPlan, SubjectRef, Task
from anyscope.assay.subjects import Convention, LabelSubject, NetworkSubject, OtsuSubject, Subject, Verdict, checked
from anyscope.attacks import ATTACKS
from anyscope.errors import AnyscopeError, BadInput
from anyscope.images import Intensity
from anyscope.metrics import default_protocol
from anyscope.running.devices import choose_device
from anyscope.running.engines import worker_device
from anyscope.running.ledger import Cell


class Workshop:
    """The models and images of a plan in one process, each loaded when it is first needed."""

    def __init__(self, plan: AssayPlan) -> None:
        self.plan = plan
        self._device = (worker_device() if plan.device == "auto" else None) or choose_device(plan.device)
        self._data: dict[str, AssayData] = {}
        self._subjects: dict[str, Subject] = {}
        self._faults: dict[str, str] = {}

    def do(self, task: Task) -> list[Cell]:
        """The cells of a task. What a model does wrong becomes a failure of its cells."""
        condition = Condition.parse(task.condition)
        self._faults.clear()  # what could not be loaded may have been mended
        wanted: dict[str, list[str]] = {}
        for model, _, image in task.missing:
            wanted.setdefault(model, []).append(image)
        cells = []
        by_convention: dict[Convention, list[str]] = {}
        for model in wanted:
            subject = self.subject(model)
            if subject is None:
                cells += [Cell((model, task.condition, i), failure=self._faults[model]) for i in wanted[model]]
            else:
                by_convention.setdefault(subject.convention, []).append(model)
        for convention, models in by_convention.items():
            names = list(dict.fromkeys(image for model in models for image in wanted[model]))
            for images in self._batches(task.data, names, convention):
                cells += self._measure(condition, task, images, convention, models)
        asked = set(task.missing)
        return [cell for cell in cells if cell.key in asked]

    def subject(self, name: str) -> Subject | None:
        """The model called ``name``, None where it cannot be loaded."""
        if name not in self._subjects and name not in self._faults:
            ref = next(ref for ref in self.plan.subjects if ref.name == name)
            try:
                self._subjects[name] = self._load(ref)
            except AnyscopeError as error:
                self._faults[name] = str(error)
        return self._subjects.get(name)

    def data(self, name: str) -> AssayData:
        """The dataset called ``name``."""
        if name not in self._data:
            refs = self.plan.data if self.plan.learning is None else (*self.plan.data, self.plan.learning)
            self._data[name] = AssayData(self.plan, next(ref for ref in refs if ref.name == name))
        return self._data[name]

    def _load(self, ref: SubjectRef) -> Subject:
        if ref.path is None:
            return OtsuSubject(ref.name, self._baseline_convention(), self.plan.bright_objects)
        foreign, trust = ref.foreign is not None, ref.trust is True
        return NetworkSubject.load(ref.name, ref.path, self._device, foreign=foreign, trust=trust)

    def _baseline_convention(self) -> Convention:
        """That of the first network, so that both see the same pixels."""
        for ref in self.plan.subjects:
            subject = None if ref.path is None else self.subject(ref.name)
            if subject is not None:
                return subject.convention
        return Convention(Intensity(), None)

    def _batches(self, data: str, names: list[str], convention: Convention) -> Iterator[list[AssayImage]]:
        """The images in runs of one shape, one microscope and one size of pixels."""
        images = [self.data(data).image(name, convention) for name in names]
        for _, run in groupby(images, _kind_of):
            yield list(run)

    def _measure(
        self, condition: Condition, task: Task, images: list[AssayImage], convention: Convention, models: list[str]
    ) -> Iterable[Cell]:
        shared: list[Shown] | None = None
        if condition.kind == "corruption" or condition.of:
            try:
                if condition.of:  # made for one network, shown to all
                    shared = self._attack(condition, images, self._source(condition.of), task.learned)
                else:
                    shared = corrupt(condition, images, convention.intensity, self.plan.seed, self._device)
            except Exception as error:
                if not condition.of and not isinstance(error, AnyscopeError):
                    raise  # a network may raise what it likes, a corruption only says what cannot be
                keys = [(model, task.condition, image.name) for model in models for image in images]
                yield from (Cell(key, failure=_one_line(error)) for key in keys)
                return
        elif condition.kind != "attack":
            shared = [untouched(image) for image in images]
        objects = self.data(task.data).has_objects
        for model in models:
            subject = self.subject(model)
            assert subject is not None
            # what fails on one image says nothing of the others: a model that gives labels is shown one at a time
            step = 1 if isinstance(subject, LabelSubject) else len(images)
            for first in range(0, len(images), step):
                some = images[first : first + step]
                try:
                    if shared is None:
                        shown = self._attack(condition, some, subject, task.learned)
                    else:
                        shown = shared[first : first + step]
                    verdicts = _judge(subject, shown)
                except Exception as error:  # whatever a network raises is its result
                    yield from (Cell((model, task.condition, i.name), failure=_one_line(error)) for i in some)
                    continue
                for one, verdict in zip(shown, verdicts, strict=True):
                    yield Cell((model, task.condition, one.name), count(one, verdict, subject.classes, objects))

    def _source(self, name: str) -> Subject:
        """The network that a transferred attack is made for."""
        subject = self.subject(name)
        if subject is None:
            raise BadInput(f"attack made for {name!r}", self._faults[name])
        return subject

    def _attack(self, condition: Condition, images: list[AssayImage], subject: Subject, learned: str) -> list[Shown]:
        if not isinstance(subject, NetworkSubject):
            raise BadInput(f"attack on {subject.name!r}", "has no gradient", "a network")
        if not subject.has_gradient and (condition.name not in ATTACKS or ATTACKS[condition.name].uses_gradient):
            raise BadInput(f"attack on {subject.name!r}", "has no gradient", "a network of torch")
        if condition.name == UNIVERSAL:
            return perturb(condition, images, read_perturbation(Path(learned), subject.name, condition))
        return attack(condition, images, subject.segmenter, self.plan.seed, self.plan.attack_steps)


def _kind_of(image: AssayImage) -> tuple[object, ...]:
    return image.unit.shape, image.pixel_size_nm, image.making and image.making.microscope


def _judge(subject: Subject, shown: list[Shown]) -> list[Verdict]:
    units = [one.unit for one in shown]
    return checked(subject.judge(units), units)


def count(shown: Shown, verdict: Verdict, classes: int, objects: bool) -> dict[str, Any]:
    """The counts of a cell as plain data: of the ``mask`` (or the classes), and of the ``objects`` where labels tell
    them apart."""
    reference = shown.labels if classes > 2 else (shown.labels > 0).astype(np.uint8)
    mask = default_protocol("semantic", classes).measure(reference, verdict.mask, valid=shown.valid)
    result = {"mask": mask.to_json()}
    if objects:
        found = default_protocol("instances").measure(shown.labels, verdict.objects, valid=shown.valid)
        result["objects"] = found.to_json()
    return result


@lru_cache(maxsize=1)
def workshop(plan: AssayPlan) -> Workshop:
    """The workshop of a plan in this process."""
    return Workshop(plan)


def do_task(plan: AssayPlan, task: Task) -> list[Cell]:
    """Fill the cells of a task; a function of the module, so that it can travel to workers."""
    return workshop(plan).do(task)


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())[:300]
    return text if isinstance(error, AnyscopeError) else f"{type(error).__name__}: {text}"
