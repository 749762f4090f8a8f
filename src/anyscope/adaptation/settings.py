"""What an adaptation does, as data: the chain of steps with their parameters, and the settings of training."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from anyscope.adaptation.catalog import STEPS
from anyscope.adaptation.selection import RULES
from anyscope.adaptation.step import STAGES, Step
from anyscope.errors import BadInput, unknown_name
from anyscope.running.documents import build_entry, explain
from anyscope.training.settings import TrainSettings, merge, validated
from anyscope.training.working_pixels import OBJECT_PX

Profile = Literal["fast", "best", "paper"]
NONE = "none"

TRAINING: dict[str, dict[str, Any]] = {
    "fast": {"patch_px": 128, "batch": 6, "epochs": 8, "steps_per_epoch": 75},
    "best": {
        "patch_px": 256,
        "batch": 16,
        "epochs": 60,
        "steps_per_epoch": 200,
        "ema": 0.999,
        "augmentation": {"angle_degrees": 180.0},
    },
    "paper": {
        "model": "attention_unet",
        "patch_px": 256,
        "batch": 6,
        "epochs": 360,
        "steps_per_epoch": 24,
        "optimiser": "sgd",
        "learning_rate": 2e-3,
        "weight_decay": 0.0,
        "schedule": "constant",
        "clip_norm": 0.0,
        "ema": 0.0,
        "foreground": 0.0,
        "losses": {"mask": "bce"},
        "augmentation": {
            "angle_degrees": 180.0, "scale": 1.0, "elastic_px": 0.0, "contrast": 0.0, "brightness": 0.0, "gamma": 1.0,
            "noise": 0.0, "blur_px": 0.0,
        },
    },
}  # fmt: skip
"""Training on source labels, by profile. ``paper`` is the baseline of Franco-Barranco et al., CMPB 222:106949, 2022. It
differs in this: an epoch is 24 steps, about one pass over the left half of VNC, whatever the source; the authors hold
out 10 % of the patches for validation, here it is the validation part of the split."""

_PROFILES: dict[str, dict[str, Any]] = {
    "fast": {},
    "best": {"object_px": 0, "candidates": 20},
    "paper": {"object_px": 0, "candidates": 180, "selection": "solidity"},
}
GENERAL = ("selection", "candidates", "object_px", "only_for_gaps")
"""Settings that belong neither to a step nor to training."""


class AdaptSettings(BaseModel):
    """Everything that decides what an adaptation does, apart from the data.

    Args:
        method: Names of steps as they were typed; none for training on the source alone.
        profile: ``fast``, ``best`` or ``paper``: where the parameters of steps and of training begin.
        steps: Parameters of steps that differ from the profile's, by the name of the step.
        train: Settings of training on labels; heads, patches, working pixels and the seed hold for all steps.
        selection: The rule that chooses among candidates.
        candidates: Most candidates of a step that learns, besides what it began with.
        only_for_gaps: Whether refinements are left out where no gap shows, and the scale is searched with more caution;
            see :mod:`anyscope.adaptation.gap`.
        object_px: How large objects of the source are made where the settings name no working pixels, in pixels
            across; 0 for the images' own pixels. See :mod:`anyscope.training.working_pixels`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: tuple[str, ...] = ()
    profile: Profile = "fast"
    steps: dict[str, dict[str, Any]] = Field(default_factory=dict)
    train: TrainSettings = TrainSettings()
    selection: str = "combined"
    candidates: int = Field(8, ge=1, le=200)
    object_px: float = Field(OBJECT_PX, ge=0, le=1000)
    only_for_gaps: bool = False

    @property
    def title(self) -> str:
        """The method as it is typed."""
        return "+".join(self.method) or NONE

    def with_training(self, settings: TrainSettings) -> AdaptSettings:
        """The same with other settings of training."""
        return self.model_copy(update={"train": settings})

    def chain(self, trained: bool) -> tuple[Step, ...]:
        """The steps in the order in which they are carried out.

        Args:
            trained: Whether the segmenter that it begins with has learned from labels already. Then it is trained
                again only where a step changes what it learns from.
        """
        steps = [self._step(name) for name in self.method]
        stages = {step.stage for step in steps}
        if "training" not in stages and (not trained or stages & {"appearance", "pretraining"}):
            steps.append(self._step("supervised"))
        return tuple(sorted(steps, key=lambda step: STAGES.index(step.stage)))

    def _step(self, name: str) -> Step:
        kind = STEPS[name]
        given = merge(dict(kind.profiles.get(self.profile, {})), self.steps.get(name, {}))
        return build_entry(kind, given, f"method {name!r}")


def parse_method(text: str) -> tuple[str, ...]:
    """The names in ``rescale+histogram+mean-teacher``; ``none`` has none.

    Raises:
        BadInput: An unknown name, a name twice, or two ways of training.
    """
    names = [name.strip() for name in text.split("+")]
    if names == [NONE]:
        return ()
    for name in names:
        if name not in STEPS:
            raise unknown_name("adaptation method", name, [NONE, *STEPS])
        if names.count(name) > 1:
            raise BadInput(f"method {text!r}", f"{name} stands twice in it", "each step once")
    training = [name for name in names if STEPS[name].stage == "training"]
    if len(training) > 1:
        raise BadInput(
            f"method {text!r}",
            f"{' and '.join(training)} are both ways to train",
            "at most one of them",
            "steps of other stages can be joined: " + ", ".join(n for n in STEPS if STEPS[n].stage != "training"),
        )
    return tuple(names)


def adapt_settings(method: str = NONE, profile: str = "fast", **given: Any) -> AdaptSettings:
    """Settings from a chain, a profile and what was given, which stands above both.

    Args:
        method: Such as ``rescale+histogram+mean-teacher``.
        profile: ``fast``, ``best`` or ``paper``.
        given: ``train`` with settings of training, ``selection``, ``candidates``, ``seed``, and for every step a
            mapping of its parameters under its name.

    Raises:
        BadInput: An unknown name, key, or a value that does not fit.
    """
    if profile not in TRAINING:
        raise unknown_name("profile", profile, TRAINING)
    names = parse_method(method)
    training = dict(TRAINING[profile])
    for name in names:
        training = merge(training, dict(STEPS[name].training.get(profile, {})))
    training = merge(training, given.pop("train", {}))
    if "seed" in given:
        training["seed"] = given.pop("seed")
    steps = {name: given.pop(name) for name in list(given) if name in STEPS}
    unused = [name for name in steps if name not in (*names, "supervised")]
    if unused:
        raise BadInput(f"setting {unused[0]!r}", f"method {method!r} has no such step", f"one of {', '.join(names)}")
    for key in given:
        if key not in GENERAL:
            raise unknown_name("setting", key, ["train", "seed", *GENERAL, *names])
    if "selection" in given and given["selection"] not in RULES:
        raise unknown_name("selection rule", given["selection"], RULES)
    given = {**_PROFILES[profile], **given}
    data = {"method": names, "profile": profile, "steps": steps, "train": validated(TrainSettings, training), **given}
    try:
        return AdaptSettings.model_validate(data)
    except ValidationError as error:
        key, problem = explain(error)
        raise BadInput(f"setting {key!r}", problem) from None
