"""What an assay is to do, as plain data that travels to workers and stands in its settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from anyscope.running.ledger import Key

if TYPE_CHECKING:
    from anyscope.assay.conditions import Condition

MAIN = "data"
"""Name of the dataset that corruptions and attacks are applied to."""

LEARNING = "learning"
"""Name of the images that universal perturbations are learned on."""

BASELINE = "otsu"


class Frozen(BaseModel):
    """Base of what a plan consists of."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SubjectRef(Frozen):
    """A model under test.

    Args:
        name: Its name in ledger and report.
        path: Folder of its run or segmenter; None for the classical baseline.
        weights: SHA-256 of its weights: another training at the same place is another model.
        foreign: What another project's model offers: logits with their gradients, logits alone, or labels alone; None
            for ours. Attacks by gradient pass by those that have none.
        trust: Whether code that comes with a foreign model may run.
        sees: What it is shown, in words: attacks are transferred between models that are shown the same.
        network: Network, training data and budget, in words: what runs with and without robust training have in common.
        robust: Name and parameters of the robust training; empty for none.
        seen: Corruptions that were drawn in training.
        held_out: Mechanisms of corruption that were not.
    """

    name: str
    path: str | None
    weights: str | None = None
    foreign: Literal["gradients", "logits", "labels"] | None = None
    trust: bool | None = None
    sees: str = ""
    network: str = ""
    robust: str = ""
    seen: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()

    @property
    def has_gradient(self) -> bool:
        """Whether attacks may follow its gradient."""
        return self.path is not None and self.foreign in (None, "gradients")


class DataRef(Frozen):
    """Images to test on.

    Args:
        name: ``data``, or the name of other data, scored as they are: a domain shift that is observed, not simulated.
        path: The dataset folder.
        part: Part of its split; None for all.
        images: Stems, in order, all of which are used.
        voxel_size_nm, axes, channel: How to read the files where they leave it open.
    """

    name: str
    path: str
    part: Literal["train", "val", "test"] | None
    images: tuple[str, ...]
    axes: str | None = None
    voxel_size_nm: tuple[float, ...] | None = None
    channel: int | Literal["grey"] | None = None


class AssayPlan(Frozen):
    """Everything that decides the cells of an assay.

    Args:
        subjects: Models under test.
        data: The images; the first is :data:`MAIN`.
        conditions: Keys of conditions; see :class:`anyscope.assay.conditions.Condition`.
        attack_steps: Steps of iterated attacks whose conditions do not say them; None for the default of each.
        crop_px: Largest height and width, in working pixels, of what is used of an image: its middle. None for all.
        planes: Most planes that are used of a stack: its middle. None for all.
        bright_objects: Whether the baseline takes what is brighter than its threshold, or what is darker.
        seed: Seed of everything random.
        batch: Images in a task.
        device: Torch device, ``auto`` for a GPU where there is one.
        learning: Images that universal perturbations are learned on; none of :attr:`data` is among them.
    """

    subjects: tuple[SubjectRef, ...]
    data: tuple[DataRef, ...]
    conditions: tuple[str, ...]
    attack_steps: Annotated[int, Field(ge=1, le=10_000)] | None = None
    crop_px: Annotated[int, Field(ge=16)] | None = None
    planes: Annotated[int, Field(ge=1)] | None = None
    bright_objects: bool = True
    seed: int = 0
    batch: Annotated[int, Field(ge=1, le=256)] = 8
    device: str = "auto"
    learning: DataRef | None = None

    def cells(self) -> Iterator[Key]:
        """Keys (model, condition, image) of all cells."""
        for task in self.tasks(set()):
            yield from task.missing

    def tasks(self, done: set[Key]) -> list[Task]:
        """The tasks that are left, each with the models and images for which a cell is missing."""
        from anyscope.assay.conditions import Condition

        left = []
        for condition in self.conditions:
            kind = Condition.parse(condition)
            if kind.derived:
                continue
            data = next(ref for ref in self.data if ref.name == (kind.name if kind.kind == "shift" else MAIN))
            names = [ref.name for ref in self.subjects if self.takes(ref, kind)]
            for first in range(0, len(data.images), self.batch):
                images = data.images[first : first + self.batch]
                missing = tuple((m, condition, i) for m in names for i in images if (m, condition, i) not in done)
                if missing:
                    left.append(Task(data.name, condition, missing))
        return left

    def takes(self, ref: SubjectRef, condition: Condition) -> bool:
        """Whether a model has cells under a condition: what has no gradient is shown no attack that needs one.

        An attack that was made for another network is shown to all that are shown the same pixels.
        """
        if condition.kind != "attack" or condition.derived:
            return not condition.derived
        if condition.of:
            return any(other.name == condition.of and other.sees == ref.sees for other in self.subjects)
        from anyscope.attacks import ATTACKS

        if ref.has_gradient:
            return True
        return ref.path is not None and condition.name in ATTACKS and not ATTACKS[condition.name].uses_gradient


class Task(NamedTuple):
    """A piece of work: one condition, some images, and the models that are to see them.

    Args:
        data: Name of the dataset.
        condition: Key of the condition.
        missing: Keys of the cells to fill.
        learned: Folder of the perturbations that were learned beforehand.
    """

    data: str
    condition: str
    missing: tuple[Key, ...]
    learned: str = ""

    @property
    def images(self) -> tuple[str, ...]:
        """Its images, in order."""
        return tuple(dict.fromkeys(image for _, _, image in self.missing))

    @property
    def models(self) -> tuple[str, ...]:
        """Its models, in order."""
        return tuple(dict.fromkeys(model for model, _, _ in self.missing))
