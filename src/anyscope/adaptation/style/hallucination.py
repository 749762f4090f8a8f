"""Whether a translation shows what its input does not show: judged by images and predictions, without labels.

A translator may change grey levels, noise and sharpness; it must not paint objects, nor remove any. A grey-level curve,
rising or falling, changes none of the numbers here, since images are compared by the ranks of their pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.stats import rankdata

Planes = NDArray[np.float32]
Map = NDArray[np.float64]

SMOOTHING_PX = 2.0
"""Structures finer than this are noise, which a change of style may add or take away."""
WINDOW_PX = 6.0
"""Standard deviation of the Gaussian window within which images are correlated."""
LEAST_EXPLAINED = 0.25
"""Share of the local variance that the other image must explain, so that a structure counts as the same."""
DARK = 0.15
"""The darkest pixels, as a share of the image, whose places are compared."""
SMALLEST_OBJECT_PX = 30
"""Smaller dark spots are not counted."""

MOST_INVENTED = 0.01
MOST_LOST = 0.01
"""Alarm above these shares of the area. On slices of mitochondria at 9 nm, blurs of 3 pixels, noise of .2, sharpening
and shading give 0.000, discs painted on 3 % of the area .016."""
MOST_FOREGROUND = 2.0
LEAST_FOREGROUND = 0.2
"""Alarm where the predicted share of foreground is so many times what it was before, or in the source's labels
(whichever is more), or so small a part of what it is in the source's labels."""
MOST_FOREGROUND_INVENTED = 0.2
"""Alarm where so much of the predicted foreground stands where structure was invented."""


@dataclass(frozen=True)
class Structure:
    """How the structures of translated images differ from those of their input.

    Args:
        invented: Share of the area with above-average structure in the translation that the input does not explain.
        lost: The same the other way round.
        agreement: Share of the whole structure in the translation that the input explains, 0..1.
        dark_overlap: Intersection over union of the darkest pixels before and after (the brightest after, where the
            translation inverts).
        dark_objects: Dark objects after, for each one before; infinite where there were none. Shading changes this
            number and the overlap too, so that there is no alarm on either.
    """

    invented: float
    lost: float
    agreement: float
    dark_overlap: float
    dark_objects: float


def compare_structure(before: Planes, after: Planes) -> tuple[Structure, NDArray[np.bool_]]:
    """Compare images with their translations.

        local r^2 = cov^2 / (var_before var_after) of smoothed ranks, in a Gaussian window
        invented where r^2 < LEAST_EXPLAINED and var_after is above its mean over the plane; lost alike

    Args:
        before: Images (n, y, x), one channel each.
        after: Their translations.

    Returns:
        Numbers pooled over the planes, and where structure was invented (n, y, x).
    """
    pairs = [_Pair.of(one, other) for one, other in zip(before, after, strict=True)]
    invented = np.stack([pair.invented for pair in pairs])
    explained = sum(float((pair.explained * pair.variance_after).sum()) for pair in pairs)
    whole = sum(float(pair.variance_after.sum()) for pair in pairs)
    both = sum(int((pair.dark_before & pair.dark_after).sum()) for pair in pairs)
    either = sum(int((pair.dark_before | pair.dark_after).sum()) for pair in pairs)
    objects_before, objects_after = (
        sum(_objects(getattr(pair, name)) for pair in pairs) for name in ("dark_before", "dark_after")
    )
    structure = Structure(
        invented=float(invented.mean()),
        lost=float(np.mean([pair.lost.mean() for pair in pairs])),
        agreement=explained / whole if whole else 0.0,
        dark_overlap=both / either if either else 1.0,
        dark_objects=objects_after / objects_before if objects_before else (np.inf if objects_after else 1.0),
    )
    return structure, invented


@dataclass(frozen=True)
class _Pair:
    """Maps (y, x) of one plane and its translation."""

    explained: Map
    variance_after: Map
    invented: NDArray[np.bool_]
    lost: NDArray[np.bool_]
    dark_before: NDArray[np.bool_]
    dark_after: NDArray[np.bool_]

    @classmethod
    def of(cls, before: NDArray[np.float32], after: NDArray[np.float32]) -> _Pair:
        x, y = _ranks(before), _ranks(after)
        if np.corrcoef(x.ravel(), y.ravel())[0, 1] < 0:
            y = 1 - y
        mean_x, mean_y = _window(x), _window(y)
        var_x, var_y = (np.maximum(_window(each * each) - mean**2, 0) for each, mean in ((x, mean_x), (y, mean_y)))
        covariance = _window(x * y) - mean_x * mean_y
        explained = np.minimum(covariance**2 / np.maximum(var_x * var_y, 1e-12), 1)
        unlike = explained < LEAST_EXPLAINED
        return cls(
            explained,
            var_y,
            unlike & (var_y > var_y.mean()),
            unlike & (var_x > var_x.mean()),
            x < np.quantile(x, DARK),
            y < np.quantile(y, DARK),
        )


def _ranks(plane: NDArray[np.float32]) -> Map:
    """Smoothed ranks of the pixels in 0..1; where all are equal a trace of order is added, so that they correlate."""
    ranks = rankdata(plane, axis=None).reshape(plane.shape) / plane.size
    if np.ptp(ranks) == 0:
        ranks = ranks + 1e-9 * np.indices(plane.shape).sum(axis=0)
    smoothed: Map = ndimage.gaussian_filter(ranks, SMOOTHING_PX, mode="reflect")
    return smoothed


def _window(values: Map) -> Map:
    averaged: Map = ndimage.gaussian_filter(values, WINDOW_PX, mode="reflect")
    return averaged


def _objects(mask: NDArray[np.bool_]) -> int:
    labels, count = ndimage.label(mask)
    return int((np.bincount(labels.ravel(), minlength=count + 1)[1:] >= SMALLEST_OBJECT_PX).sum())


@dataclass(frozen=True)
class Foreground:
    """What the segmenter predicts before and after translation, as shares of the area.

    Args:
        before: Predicted foreground of the images as they are.
        after: Of their translations.
        source: Foreground in the source's labels.
        on_invented: Share of the foreground predicted after translation where structure was invented; 0 without any.
        cycle: Dice of the predictions of a translation and of the translation of what comes back of it; None where
            there is no way back.
    """

    before: float
    after: float
    source: float
    on_invented: float
    cycle: float | None = None


def compare_foreground(
    before: NDArray[np.bool_],
    after: NDArray[np.bool_],
    invented: NDArray[np.bool_],
    source: float,
    returned: NDArray[np.bool_] | None = None,
) -> Foreground:
    """Compare predictions (n, y, x) before and after translation.

    Args:
        before, after: Predicted foreground.
        invented: Where structure was invented, from :func:`compare_structure`.
        source: Share of foreground in the source's labels.
        returned: Predicted foreground after three translations: there, back, and there again.
    """
    cycle = None
    if returned is not None:
        total = int(after.sum()) + int(returned.sum())
        cycle = 2 * int((after & returned).sum()) / total if total else 1.0
    on_invented = float(invented[after].mean()) if after.any() else 0.0
    return Foreground(float(before.mean()), float(after.mean()), source, on_invented, cycle)


@dataclass(frozen=True)
class Examination:
    """The findings on a translator."""

    structure: Structure
    foreground: Foreground

    def alarms(self) -> dict[str, str]:
        """What gives reason to distrust it: by the number that does, one line with its threshold."""
        s, f = self.structure, self.foreground
        found = [
            ("invented", s.invented > MOST_INVENTED, f"structure was invented on {s.invented:.1%} of the area"
             f" (alarm above {MOST_INVENTED:.0%})"),
            ("lost", s.lost > MOST_LOST, f"structure was lost on {s.lost:.1%} of the area"
             f" (alarm above {MOST_LOST:.0%})"),
            ("foreground", f.after > MOST_FOREGROUND * max(f.before, f.source),
             f"{f.after:.1%} is predicted as foreground, {f.before:.1%} before translation and {f.source:.1%} in the"
             f" source's labels (alarm above {MOST_FOREGROUND:g} times the larger)"),
            ("foreground", f.after < LEAST_FOREGROUND * f.source,
             f"only {f.after:.1%} is predicted as foreground, {f.source:.1%} in the source's labels"
             f" (alarm below {LEAST_FOREGROUND:g} times as much)"),
            ("on_invented", f.on_invented > MOST_FOREGROUND_INVENTED,
             f"{f.on_invented:.0%} of the predicted foreground stands on invented structure"
             f" (alarm above {MOST_FOREGROUND_INVENTED:.0%})"),
        ]  # fmt: skip
        return {name: text for name, alarming, text in found if alarming}

    def to_document(self) -> dict[str, object]:
        """Numbers and alarms as plain data for JSON."""
        finite = {key: value if np.isfinite(value) else None for key, value in asdict(self.structure).items()}
        return {"structure": finite, "foreground": asdict(self.foreground), "alarms": self.alarms()}


def planes_of(images: Sequence[NDArray[np.float32]] | NDArray[np.float32]) -> Planes:
    """Every channel of images (b, c, y, x) as a plane of its own (b * c, y, x)."""
    stacked = np.asarray(images, np.float32)
    return stacked.reshape(-1, *stacked.shape[-2:])
