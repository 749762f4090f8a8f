"""Typed settings of a training run, and the named profiles that set several of them at once."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from anyscope.contracts import HEADS, Offset, Task
from anyscope.errors import BadInput, unknown_name
from anyscope.images import Intensity
from anyscope.instances import DECODERS, LINKERS
from anyscope.metrics import PROTOCOLS
from anyscope.models import InputTransform, SegmenterSpec
from anyscope.running.documents import explain
from anyscope.training.losses import DEFAULT_LOSSES, parse_loss

AFFINITY_OFFSETS: tuple[Offset, ...] = (
    (0, -1, 0), (0, 0, -1), (0, -9, 0), (0, 0, -9), (0, -9, -9), (0, 9, -9), (0, -27, 0), (0, 0, -27),
)  # fmt: skip
"""Two to the neighbours, which join, and six long ones, which part: a selection of those of Wolf et al. (ECCV 2018)."""
AFFINITY_OFFSETS_IN_DEPTH: tuple[Offset, ...] = ((-1, 0, 0), (-2, 0, 0))
Tune = Literal["full", "frozen", "decoder-first", "lora"]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AppearanceSettings(_Settings):
    """How the grey levels of patches are varied; every strength is drawn for each patch.

    Args:
        contrast: Largest change of contrast either way, 0..1.
        brightness: Largest change of brightness either way, in image units (0..1).
        gamma: Largest gamma either way, as a factor of 1 and above.
        noise: Largest standard deviation of added Gaussian noise, in image units (0..1).
        blur_px: Largest sigma of a Gaussian blur.
    """

    contrast: float = Field(0.25, ge=0, lt=1)
    brightness: float = Field(0.1, ge=0, le=1)
    gamma: float = Field(1.3, ge=1, le=5)
    noise: float = Field(0.03, ge=0, le=1)
    blur_px: float = Field(0.7, ge=0, le=10)


class AugmentationSettings(AppearanceSettings):
    """How patches are varied. Geometry first, then intensity, then noise; each is drawn for each patch.

    Args:
        flips: Mirror in y and x and turn by quarters.
        angle_degrees: Largest rotation either way, 0..180.
        scale: Largest zoom either way, as a factor of 1 and above.
        elastic_px: Standard deviation of the elastic displacement in pixels.
        contrast, brightness, gamma, noise, blur_px: See :class:`AppearanceSettings`.
    """

    flips: bool = True
    angle_degrees: float = Field(15.0, ge=0, le=180)
    scale: float = Field(1.25, ge=1, le=4)
    elastic_px: float = Field(2.0, ge=0, le=50)


class LearnSettings(_Settings):
    """What supervised training and pre-training have in common: network, patches, optimiser.

    Args:
        model: A name of the zoo; see ``anyscope models``.
        arguments: Arguments of that model.
        weights: ``random``; ``imagenet`` or ``sam`` where the model has such weights and the hub can be reached.
        intensity: How pixel values become 0..1; see :class:`anyscope.images.Intensity`.
        pixel_size_nm: Working pixel size, to which images of known pixel size are resampled; None for native pixels.
        zoom: Working pixels for each nominal one; for images of unknown pixel size, for each of their own.
        neighbours: Slices on both sides of the one to segment that the network sees as channels.
        patch_px: Edge of a training patch in working pixels.
        batch: Patches in a step, over all processes.
        epochs: Number of epochs; a validation, a record and a checkpoint after each.
        steps_per_epoch: Optimiser steps in an epoch.
        optimiser: ``adamw``, ``adam`` or ``sgd`` (with momentum .9).
        learning_rate: Largest learning rate.
        weight_decay: Weight decay.
        schedule: ``onecycle`` (30 % warm-up, cosine to almost 0), ``plateau`` (halved after 5 epochs without a better
            validation loss) or ``constant``.
        clip_norm: Largest norm of the gradient; 0 for no limit.
        ema: Decay of the moving average of the weights, which is what is validated and saved; 0 for none.
        precision: ``fp32``, ``bf16`` or ``fp16``.
        workers: Processes that prepare batches; 0 prepares them in the training process.
        augmentation: See :class:`AugmentationSettings`.
        seed: Seed of everything random.
    """

    model: str = "unet_small"
    arguments: dict[str, Any] = Field(default_factory=dict)
    weights: Literal["random", "imagenet", "sam"] = "random"
    intensity: Intensity = Intensity()
    pixel_size_nm: float | None = Field(None, gt=0)
    zoom: float = Field(1.0, ge=0.1, le=10)
    neighbours: int = Field(0, ge=0, le=16)
    patch_px: int = Field(192, ge=16, le=4096)
    batch: int = Field(4, ge=1)
    epochs: int = Field(15, ge=1)
    steps_per_epoch: int = Field(50, ge=1)
    optimiser: Literal["adamw", "adam", "sgd"] = "adamw"
    learning_rate: float = Field(2e-3, gt=0)
    weight_decay: float = Field(1e-4, ge=0)
    schedule: Literal["onecycle", "plateau", "constant"] = "onecycle"
    clip_norm: float = Field(1.0, ge=0)
    ema: float = Field(0.98, ge=0, lt=1)
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    workers: int = Field(0, ge=0)
    augmentation: AugmentationSettings = AugmentationSettings()
    seed: int = Field(0, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _parsed(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("intensity"), str):
            return {**data, "intensity": Intensity.parse(data["intensity"])}
        return data

    def spec_with(self, channels: int, **own: Any) -> SegmenterSpec:
        """What the segmenter will be, for images of so many channels; ``own`` is what its kind of learning adds."""
        shared: dict[str, Any] = {
            "model": self.model,
            "arguments": self.arguments,
            "channels": channels,
            "neighbours": self.neighbours,
            "intensity": self.intensity,
            "pixel_size_nm": self.pixel_size_nm,
            "input": InputTransform(zoom=self.zoom),
        }
        try:
            return SegmenterSpec(**shared, **own)
        except ValidationError as error:
            raise _bad_setting(error) from None


class TrainSettings(LearnSettings):
    """Everything that decides what a training run does, apart from the data.

    Args:
        task: ``semantic`` for masks and classes, ``instances`` for objects.
        heads: Maps the network predicts; by default ``mask`` for semantic, ``mask, boundary, distance`` for instances.
        offsets: Of the head ``affinities``, (z, y, x) in slices and working pixels; by default
            :data:`AFFINITY_OFFSETS`, in three dimensions with those to the next slices.
        dimensions: 3 where objects are to be told apart in the volume: rims also where an object ends in depth.
        decoder: Name of the decoder; by default the one that scores best on the validation part.
        decoder_arguments: Parameters of decoders that are not to be tuned.
        linker: How objects of slices become objects of a volume: ``auto`` (the best of all where the dataset says
            ``objects: 3d``), ``none``, or a name.
        protocol: Scores by which epochs, decoders and linkers are chosen, and the test part is scored; by default that
            of the task.
        affinity_erosion_px: Affinities are those of objects without what lies less than so far from their outline.
        foreground: Share of patches laid around foreground of the training labels.
        losses: Loss of each head, as a sum such as ``bce+0.5*dice``.
        validation_planes: Most planes of the validation part that are predicted after an epoch.
        tuning_planes: Most planes of it that decoders are tuned on in the end.
        tune: Which weights learn; see :mod:`anyscope.training.tuning_modes`. ``full``: all. ``frozen``: all but those
            of the encoder. ``decoder-first``: the same for the first epochs, then all. ``lora``: the decoder, and of
            the encoder only the low-rank adapters of a network whose argument ``lora_rank`` is above 0. Such a network
            is trained in no other way.
        decoder_first: Share of the epochs that ``decoder-first`` leaves the encoder as it is, above 0 and below 1.
        layer_decay: Factor of the learning rate from each level, or block, of the encoder to the one before it, counted
            from the decoder; 1 for none.
        encoder_rate: Factor of the learning rate of the whole encoder.
        robust: Robust training by name, see :mod:`anyscope.training.hardening`; None for none.
        robust_arguments: Its parameters that are not the default.

    All others are those of :class:`LearnSettings`.
    """

    task: Task = "semantic"
    heads: tuple[str, ...] = ()
    offsets: tuple[Offset, ...] = ()
    dimensions: Literal[2, 3] = 2
    decoder: str = ""
    decoder_arguments: dict[str, Any] = Field(default_factory=dict)
    linker: str = "auto"
    protocol: str = ""
    affinity_erosion_px: float = Field(0.0, ge=0, le=16)
    foreground: float = Field(0.5, ge=0, le=1)
    losses: dict[str, str] = Field(default_factory=dict)
    validation_planes: int = Field(24, ge=1)
    tuning_planes: int = Field(48, ge=1)
    tune: Tune = "full"
    decoder_first: float = Field(0.3, gt=0, lt=1)
    layer_decay: float = Field(1.0, gt=0, le=1)
    encoder_rate: float = Field(1.0, gt=0, le=100)
    robust: str | None = None
    robust_arguments: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        data = dict(data)
        if isinstance(data.get("heads"), str):
            data["heads"] = tuple(name.strip() for name in data["heads"].split(","))
        if not data.get("heads"):
            instances = data.get("task") == "instances"
            data["heads"] = ("mask", "boundary", "distance") if instances else ("mask",)
        if "affinities" in data["heads"] and not data.get("offsets"):
            in_depth = AFFINITY_OFFSETS_IN_DEPTH if data.get("dimensions") == 3 else ()
            data["offsets"] = (*in_depth, *AFFINITY_OFFSETS)
        return data

    @model_validator(mode="after")
    def _consistent(self) -> TrainSettings:
        for name in self.heads:
            if name not in HEADS:
                raise unknown_name("head", name, HEADS)
        if len(set(self.heads)) != len(self.heads):
            raise ValueError(f"heads {', '.join(self.heads)}: one of them is listed twice")
        if self.offsets and "affinities" not in self.heads:
            raise ValueError("offsets belong to the head 'affinities', which is not among the heads")
        if any(not any(offset) for offset in self.offsets):
            raise ValueError("offsets: (0, 0, 0) leads to no other pixel")
        if "mask" not in self.heads:
            raise ValueError(f"heads {', '.join(self.heads)}: every task needs the head 'mask'")
        if self.decoder:
            DECODERS[self.decoder]
        if self.linker not in ("auto", "none"):
            LINKERS[self.linker]
        if self.protocol and PROTOCOLS[self.protocol].task != self.task:
            raise ValueError(f"protocol {self.protocol!r} is for the task {PROTOCOLS[self.protocol].task!r}")
        for name, text in self.losses.items():
            if name not in self.heads:
                raise ValueError(f"losses: there is no head {name!r}; heads are {', '.join(self.heads)}")
            parse_loss(text)
        if self.tune == "decoder-first" and self.epochs < 2:
            raise ValueError("tune: 'decoder-first' needs 2 epochs or more, one for the decoder and one for all")
        return self

    def spec(self, channels: int, classes: int = 2) -> SegmenterSpec:
        """What the segmenter will be.

        Args:
            channels: Channels of the images.
            classes: Classes of the labels with background; objects have 2, whatever the labels.
        """
        classes = classes if self.task == "semantic" else 2
        return self.spec_with(channels, task=self.task, heads=self.heads, classes=classes, offsets=self.offsets)

    def loss_of(self, head: str, classes: int) -> str:
        """The loss of a head, as given or by default."""
        key = "classes" if head == "mask" and classes > 2 else head
        return self.losses.get(head, DEFAULT_LOSSES[key])


PROFILES: dict[str, dict[str, Any]] = {
    "fast": {},
    "standard": {"patch_px": 256, "batch": 8, "epochs": 60, "steps_per_epoch": 100},
    "best": {
        "patch_px": 256,
        "batch": 16,
        "epochs": 120,
        "steps_per_epoch": 200,
        "ema": 0.999,
        "augmentation": {"angle_degrees": 180.0},
    },
}
"""``fast``, the default, takes about ten minutes on two cores for a network of 2M parameters; ``standard`` and
``best`` are meant for a GPU."""


SettingsT = TypeVar("SettingsT", bound=LearnSettings)


def train_settings(profile: str = "fast", **given: Any) -> TrainSettings:
    """Settings from a profile and what was given, which stands above it.

    Raises:
        BadInput: An unknown profile or key, or a value that does not fit; the message names the key.
    """
    if profile not in PROFILES:
        raise unknown_name("profile", profile, PROFILES)
    return validated(TrainSettings, merge(PROFILES[profile], given))


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """``base`` with the values of ``over``, nested mappings merged key by key."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def validated(kind: type[SettingsT], data: dict[str, Any]) -> SettingsT:
    """Validate plain data; an error becomes one line that names the key."""
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        key, _ = explain(error)
        if error.errors()[0]["type"] == "extra_forbidden":
            raise unknown_name("setting", key, _names_beside(kind, key)) from None
        raise _bad_setting(error) from None


def _bad_setting(error: ValidationError) -> BadInput:
    key, problem = explain(error)
    return BadInput(f"setting {key!r}" if error.errors()[0]["loc"] else "settings", problem)


def _names_beside(kind: type[BaseModel], key: str) -> list[str]:
    """What could stand in the place of a nested key, written as it is."""
    above = ""
    for group in key.split(".")[:-1]:
        field = kind.model_fields.get(group)
        inner = None if field is None else field.annotation
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            break
        kind, above = inner, f"{above}{group}."
    return [f"{above}{name}" for name in kind.model_fields]
