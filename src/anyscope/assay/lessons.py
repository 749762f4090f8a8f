"""The stage before an assay in which universal perturbations are learned, on other images than are scored."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from anyscope.assay.conditions import UNIVERSAL, Condition
from anyscope.assay.inputs import AssayData
from anyscope.assay.measure import Workshop, workshop
from anyscope.assay.perturbations import failure_path, perturbation_path, read_record, universal_of
from anyscope.assay.plan import LEARNING, AssayPlan, Task
from anyscope.assay.subjects import NetworkSubject
from anyscope.attacks import Target, class_logits
from anyscope.attacks.universal import Learning
from anyscope.errors import BadInput
from anyscope.inference.network import device_of
from anyscope.inference.slices import slice_stack
from anyscope.running.atomic import remove, write_text
from anyscope.running.engines import Engine
from anyscope.running.progress import progress
from anyscope.seeding import generator
from anyscope.training.checkpoint import save_checkpoint

BATCH = 4
CROP_PX = 192
_STEPS_BETWEEN = 20
"""Steps after which a learning can be continued."""


class Lesson(NamedTuple):
    """One perturbation to learn: for whom, under which condition, and where it goes."""

    model: str
    condition: str
    path: str


def learn_universal(plan: AssayPlan, folder: Path, engine: Engine, tasks: Sequence[Task]) -> None:
    """Learn the perturbations that tasks need and that are not there.

    Each is a file that grows with its steps, so that a killed learning goes on; what fails is written beside it, and
    becomes the failure of the cells that need it.
    """
    wanted = dict.fromkeys(
        (model, task.condition)
        for task in tasks
        if Condition.parse(task.condition).name == UNIVERSAL
        for model in task.models
    )
    lessons = []
    for model, key in wanted:
        condition = Condition.parse(key)
        path = perturbation_path(folder, model, condition)
        remove(failure_path(path))
        record = read_record(path)
        if record is None or record["step"] < universal_of(condition, plan).resolved_steps:
            lessons.append(Lesson(model, key, str(path)))
    if not lessons:
        return
    folder.mkdir(parents=True, exist_ok=True)
    with progress("learn perturbations", len(lessons), "perturbations") as shown:
        for lesson, failure in engine.run(partial(do_lesson, plan), lessons):
            shown.advance(note=f"{lesson.model} {lesson.condition}" + (f": {failure}" if failure else ""))


def do_lesson(plan: AssayPlan, lesson: Lesson) -> str | None:
    """Learn one perturbation; what went wrong, or None. A function of the module, so that it can travel to workers."""
    try:
        _learn(workshop(plan), lesson)
    except Exception as error:  # whatever a network raises is its result
        text = " ".join(str(error).split())[:300] or type(error).__name__
        write_text(failure_path(Path(lesson.path)), text + "\n")
        return text
    return None


def _learn(shop: Workshop, lesson: Lesson) -> None:
    plan, path = shop.plan, Path(lesson.path)
    subject = shop.subject(lesson.model)
    if not isinstance(subject, NetworkSubject) or not subject.has_gradient:
        raise BadInput(f"universal perturbation of {lesson.model!r}", "it cannot be loaded or has no gradient")
    if plan.learning is None:
        raise BadInput(
            "universal perturbation", "there are no images to learn it on", "a part 'train' or 'val' that is not scored"
        )
    method = universal_of(Condition.parse(lesson.condition), plan)
    segmenter, data = subject.segmenter, shop.data(LEARNING)
    first = data.image(plan.learning.images[0], subject.convention)
    about = {"condition": lesson.condition, "images": list(plan.learning.images), "part": plan.learning.part}
    about |= {"weights": next(ref.weights for ref in plan.subjects if ref.name == lesson.model)}
    record = read_record(path)
    state = method.begin(first.unit.shape[0])
    if record is not None:
        state = Learning(record["step"], record["change"], record["momentum"], record["losses"])
    network = class_logits(segmenter)
    while state.step < method.resolved_steps:
        images, target = _batch(plan, data, subject, state.step)
        state = method.step(network, state, images, target, 2 * segmenter.spec.neighbours + 1)
        if state.step % _STEPS_BETWEEN == 0 or state.step == method.resolved_steps:
            save_checkpoint(path, {**state.state_dict(), "about": about})


def _batch(plan: AssayPlan, data: AssayData, subject: NetworkSubject, step: int) -> tuple[torch.Tensor, Target]:
    """Cuts of some images of the learning part; which ones depends on the seed and the step alone."""
    assert plan.learning is not None
    spec = subject.segmenter.spec
    names = plan.learning.images
    random = generator(plan.seed, "assay", UNIVERSAL, step)
    images = [data.image(names[number], subject.convention) for number in random.integers(len(names), size=BATCH)]
    edges = [min(CROP_PX, *(image.unit.shape[axis] for image in images)) for axis in (2, 3)]
    cuts, labels, valid = [], [], []
    for image in images:
        z = int(random.integers(image.unit.shape[1]))
        y, x = (
            int(random.integers(image.unit.shape[axis] - edge + 1)) for axis, edge in zip((2, 3), edges, strict=True)
        )
        window = (slice(y, y + edges[0]), slice(x, x + edges[1]))
        cuts.append(slice_stack(image.unit, z, spec.neighbours)[:, *window])
        found = image.labels[z, *window].astype(np.int64)
        labels.append((found > 0).astype(np.int64) if spec.classes == 2 else found)
        valid.append(image.valid[z, *window])
    device = device_of(subject.segmenter)
    stacked = [torch.from_numpy(np.stack(parts)).to(device) for parts in (cuts, labels, valid)]
    return stacked[0], Target(stacked[1], stacked[2])
