"""What the BioImage Model Zoo does to tensors before and after a network, by name, in torch: gradients flow through.

Names, arguments and formulas are those of the zoo's description of models, formats 0.4 and 0.5
(https://bioimage.io/docs, ``zero_mean_unit_variance``: (x - mean) / (std + eps); ``scale_range``: (x - low) /
(high - low + eps); ``scale_linear``: gain x + offset).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from anyscope.errors import BadInput, Subject

_EPS = 1e-6


@dataclass(frozen=True)
class Step:
    """One step.

    Args:
        name: Its name in the package.
        apply: What it does to [B, C, H, W].
        whole_image: Whether it takes statistics of the whole image.
        probabilities: Whether what comes out are probabilities.
        threshold: Of a binarisation, which comes last: what is above it is foreground.
    """

    name: str
    apply: Callable[[torch.Tensor], torch.Tensor]
    whole_image: bool = False
    probabilities: bool = False
    threshold: float | None = None


def steps_of(entries: object, axes: str, subject: Subject) -> list[Step]:
    """The steps that a package lists.

    Args:
        entries: The list as it stands in the package.
        axes: Axes of the tensor, ``bcyx``.
        subject: The package, for messages.

    Raises:
        BadInput: A step that is not known, or arguments that it does not have.
    """
    if not isinstance(entries or [], list):
        raise BadInput(subject, "processing steps that are no list", "a list of named steps")
    return [_step(entry, axes, subject) for entry in (entries if isinstance(entries, list) else [])]


def _step(entry: object, axes: str, subject: Subject) -> Step:
    if not isinstance(entry, Mapping):
        raise BadInput(subject, f"the step {entry!r}", "a step with a name and its arguments")
    name = str(entry.get("id", entry.get("name", "")))
    given = entry.get("kwargs") or {}
    if name not in _STEPS or not isinstance(given, Mapping):
        raise BadInput(subject, f"the step {name!r}, which is not known", f"one of {', '.join(_STEPS)}")
    try:
        return _STEPS[name](dict(given), axes)
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(
            subject, f"step {name!r}: {type(error).__name__} {error}", "arguments as the zoo states"
        ) from None


def _dimensions(given: Mapping[str, Any], axes: str) -> tuple[int, ...]:
    """The axes that statistics are taken over: those named, or all but the batch; each image has its own."""
    chosen = given.get("axes")
    if chosen is None:
        return tuple(n for n, axis in enumerate(axes) if axis != "b")
    letters = [{"batch": "b", "channel": "c"}.get(axis, axis) for axis in chosen]
    if unknown := [letter for letter in letters if letter not in axes]:
        raise ValueError(f"there is no axis {unknown[0]!r}")
    return tuple(n for n, axis in enumerate(axes) if axis in letters and axis != "b")


def _numbers(value: Any) -> torch.Tensor:
    """A number, or one for each channel, to be combined with [B, C, H, W]."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return torch.tensor([float(one) for one in value], dtype=torch.float32).view(1, -1, 1, 1)
    return torch.tensor(float(value))


def _zero_mean(given: dict[str, Any], axes: str) -> Step:
    mode, eps = given.get("mode", "fixed" if "mean" in given else "per_sample"), float(given.get("eps", _EPS))
    if mode == "fixed":
        return _fixed_zero_mean(given, axes)
    if mode != "per_sample":
        raise ValueError(f"mode {mode!r}: statistics of a whole dataset are not at hand")
    dims = _dimensions(given, axes)

    def apply(x: torch.Tensor) -> torch.Tensor:
        std, mean = torch.std_mean(x, dims, correction=0, keepdim=True)
        return (x - mean) / (std + eps)

    return Step("zero_mean_unit_variance", apply, whole_image=True)


def _fixed_zero_mean(given: dict[str, Any], axes: str) -> Step:
    del axes
    mean, std, eps = _numbers(given["mean"]), _numbers(given["std"]), float(given.get("eps", _EPS))
    return Step("fixed_zero_mean_unit_variance", lambda x: (x - mean.to(x)) / (std.to(x) + eps))


def _scale_range(given: dict[str, Any], axes: str) -> Step:
    if given.get("mode", "per_sample") != "per_sample" or given.get("reference_tensor"):
        raise ValueError("the range can only be taken from the image itself")
    low, high = float(given.get("min_percentile", 0.0)), float(given.get("max_percentile", 100.0))
    eps, dims = float(given.get("eps", _EPS)), _dimensions(given, axes)
    if not 0 <= low < high <= 100:
        raise ValueError(f"percentiles {low:g} and {high:g}")

    def percentile(x: torch.Tensor, at: float) -> torch.Tensor:
        kept = [n for n in range(x.ndim) if n not in dims]
        flat = x.permute(*kept, *dims).flatten(len(kept)).sort(dim=-1).values
        place = at / 100 * (flat.shape[-1] - 1)  # numpy's linear interpolation; torch.quantile is bound to 2^24 values
        below = int(place)
        above = min(below + 1, flat.shape[-1] - 1)
        value = torch.lerp(flat[..., below], flat[..., above], place - below)
        return value.view([1 if n in dims else x.shape[n] for n in range(x.ndim)])

    def apply(x: torch.Tensor) -> torch.Tensor:
        bottom, top = percentile(x, low), percentile(x, high)
        return (x - bottom) / (top - bottom + eps)

    return Step("scale_range", apply, whole_image=True)


def _scale_linear(given: dict[str, Any], axes: str) -> Step:
    del axes
    gain, offset = _numbers(given.get("gain", 1.0)), _numbers(given.get("offset", 0.0))
    return Step("scale_linear", lambda x: gain.to(x) * x + offset.to(x))


def _clip(given: dict[str, Any], axes: str) -> Step:
    del axes
    low, high = float(given.get("min", "-inf")), float(given.get("max", "inf"))
    return Step("clip", lambda x: x.clamp(low, high))


def _sigmoid(given: dict[str, Any], axes: str) -> Step:
    del given, axes
    return Step("sigmoid", torch.sigmoid, probabilities=True)


def _softmax(given: dict[str, Any], axes: str) -> Step:
    if given.get("axis", "channel") not in ("channel", "c"):
        raise ValueError("only over channels")
    dim = axes.index("c")
    return Step("softmax", lambda x: torch.softmax(x, dim), probabilities=True)


def _binarize(given: dict[str, Any], axes: str) -> Step:
    del axes
    threshold = float(given["threshold"])
    return Step("binarize", lambda x: (x > threshold).to(x), probabilities=True, threshold=threshold)


def _ensure_dtype(given: dict[str, Any], axes: str) -> Step:
    del axes
    if str(given.get("dtype")) not in ("float32", "float64", "float16"):
        raise ValueError(f"dtype {given.get('dtype')!r}: networks here work with float32")
    return Step("ensure_dtype", lambda x: x.float())


_STEPS: dict[str, Callable[[dict[str, Any], str], Step]] = {
    "zero_mean_unit_variance": _zero_mean,
    "fixed_zero_mean_unit_variance": _fixed_zero_mean,
    "scale_range": _scale_range,
    "scale_linear": _scale_linear,
    "clip": _clip,
    "sigmoid": _sigmoid,
    "softmax": _softmax,
    "binarize": _binarize,
    "ensure_dtype": _ensure_dtype,
}


def chained(steps: Sequence[Step]) -> Callable[[torch.Tensor], torch.Tensor] | None:
    """The steps one after the other; None where there are none."""
    if not steps:
        return None

    def apply(x: torch.Tensor) -> torch.Tensor:
        for step in steps:
            x = step.apply(x)
        return x

    return apply
