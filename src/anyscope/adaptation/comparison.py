"""How two domains differ, in numbers and in words, and which methods that speaks for; without labels of the target."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from anyscope.adaptation.appearance import (
    Appearance,
    histogram_distance,
    measure_appearance,
    spectrum_distance,
)
from anyscope.adaptation.traits import Traits
from anyscope.adaptation.views import Cuts, read_views
from anyscope.datasets import UnlabelledImages
from anyscope.datasets.folder import ImageRegion
from anyscope.errors import BadInput
from anyscope.models import SegmenterSpec

# Differences worth a word: halves of one stack of electron microscopy (vnc) differ by less.
_GREY = 0.03
_RATIO = 1.15
_NOISE = 0.004
_PIXELS = 1.02
_PADDING = 0.01
_SPECTRUM = 0.15
# Grey levels look inverted where the inverse is less than half as far away, and nearer by this: fluorescence and bright
# field are .09 to .21 times as far, the closest of 78 other pairs of acquisitions .42 times, and nearer by .03.
_INVERSE, _NEARER = 0.5, 0.1


@dataclass(frozen=True)
class Proposal:
    """Methods for a pair of domains, by name in the order they are carried out, and why each."""

    methods: tuple[str, ...]
    reasons: tuple[str, ...]

    @property
    def chain(self) -> str:
        """The methods as they are typed, such as ``rescale+histogram``."""
        return "+".join(self.methods) or "none"


@dataclass(frozen=True, eq=False)
class Comparison:
    """Source and target side by side.

    Args:
        source, target: How their images look at the working pixels of the network.
        source_pixel_nm, target_pixel_nm: Median pixel sizes; None where unknown.
        histogram_distance: Wasserstein distance of the grey levels, 0..1.
        inverse_distance: The same of the source and the inverse of the target.
        spectrum_distance: Mean difference of the radial spectra in decades; None where one has no structure.
        object_px: Diameter of the disc as large as a median object of the source labels, in working pixels; None where
            it is not known.
    """

    source: Appearance
    target: Appearance
    source_pixel_nm: float | None
    target_pixel_nm: float | None
    histogram_distance: float
    inverse_distance: float
    spectrum_distance: float | None
    object_px: float | None = None

    @property
    def pixel_ratio(self) -> float | None:
        """How many times coarser the target's pixels are; None where a size is unknown."""
        if self.source_pixel_nm is None or self.target_pixel_nm is None:
            return None
        return self.target_pixel_nm / self.source_pixel_nm

    def lines(self) -> list[str]:
        """What differs, in words, one remark a line; one line alone where nothing does."""
        found = [*self._pixels(), *self._looks()]
        if self.object_px is not None:
            found.append(f"objects of the source are about {self.object_px:.0f} working pixels across")
        return found if self.differs or self.pixel_ratio is None else ["no difference worth a word was found", *found]

    @property
    def differs(self) -> bool:
        """Whether anything was found that is worth a word."""
        ratio = self.pixel_ratio
        return bool(self._looks()) or (ratio is not None and max(ratio, 1 / ratio) > _PIXELS)

    @property
    def looks_inverted(self) -> bool:
        """Whether what is bright in one domain seems to be dark in the other."""
        nearer = self.histogram_distance - self.inverse_distance
        return self.inverse_distance < _INVERSE * self.histogram_distance and nearer > _NEARER

    def _pixels(self) -> list[str]:
        ratio = self.pixel_ratio
        if ratio is None:
            unknown = [
                name
                for name, size in (("source", self.source_pixel_nm), ("target", self.target_pixel_nm))
                if size is None
            ]
            return [f"the pixel size of the {' and of the '.join(unknown)} is unknown"]
        if max(ratio, 1 / ratio) <= _PIXELS:
            return []
        word = f"{ratio:.2f} times coarser" if ratio > 1 else f"{1 / ratio:.2f} times finer"
        return [f"the target is {word} ({self.target_pixel_nm:g} nm pixels, source {self.source_pixel_nm:g} nm)"]

    def _looks(self) -> list[str]:
        source, target = self.source, self.target
        found = []
        if abs(target.mean - source.mean) > _GREY:
            found.append(_beside("brighter" if target.mean > source.mean else "darker", target.mean, source.mean))
        if _factor(target.contrast, source.contrast) > _RATIO:
            word = "richer in contrast" if target.contrast > source.contrast else "poorer in contrast"
            found.append(_beside(word, target.contrast, source.contrast))
        if _factor(target.detail_px, source.detail_px) > _RATIO:
            word = "blurrier" if (target.detail_px or 0) > (source.detail_px or 0) else "sharper"
            found.append(_beside(word, target.detail_px, source.detail_px, " px for the finest detail"))
        if abs((target.noise or 0) - (source.noise or 0)) > _NOISE and _factor(target.noise, source.noise) > _RATIO:
            word = "noisier" if (target.noise or 0) > (source.noise or 0) else "less noisy"
            found.append(_beside(word, target.noise, source.noise))
        if max(target.padding, source.padding) > _PADDING:
            found.append(f"black padding: {target.padding:.0%} of the target, {source.padding:.0%} of the source")
        if self.histogram_distance > _GREY:
            found.append(f"grey levels are {self.histogram_distance:.3f} apart (0 alike, 1 black against white)")
        if self.looks_inverted:
            found.append(f"grey levels look inverted: the inverse of the target is {self.inverse_distance:.3f} away")
        if (self.spectrum_distance or 0) > _SPECTRUM:
            found.append(f"spectra are {self.spectrum_distance:.2f} decades of power apart{_slopes(source, target)}")
        return found

    def proposal(self) -> Proposal:
        """Which methods the differences speak for.

        ``rescale`` wherever anything differs, since it is cheap and, used with caution, rarely harms. Self-training
        (``fixmatch``) where the images look different: of the methods that were crossed on mitochondria it harms least,
        and none gains clearly more than the two together. ``invert`` before both where the grey levels look inverted.
        """
        if not self.differs and self.pixel_ratio is not None:
            return Proposal((), ("the domains look alike: nothing to adapt to",))
        ratio = self.pixel_ratio
        if ratio is None:
            scale = "rescale: a pixel size is unknown, so that the scale is searched without labels"
        elif max(ratio, 1 / ratio) > _PIXELS:
            scale = "rescale: pixel sizes differ"
        else:
            scale = "rescale: stated pixel sizes agree, which objects may not; the search is cheap"
        looks = self._looks()
        if not looks:
            return Proposal(("rescale",), (scale,))
        firm = f"fixmatch: the network learns from its own firm answers on images that look different ({looks[0]})"
        if self.looks_inverted:
            turn = "invert: grey levels look inverted, and the network tells whether they are"
            return Proposal(("invert", "rescale", "fixmatch"), (turn, scale, firm))
        return Proposal(("rescale", "fixmatch"), (scale, firm))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, without histograms and spectra."""
        names = ("mean", "contrast", "noise", "detail_px", "slope", "padding")
        return {
            "source": {"pixel_nm": self.source_pixel_nm, **{name: getattr(self.source, name) for name in names}},
            "target": {"pixel_nm": self.target_pixel_nm, **{name: getattr(self.target, name) for name in names}},
            "histogram_distance": self.histogram_distance,
            "inverse_distance": self.inverse_distance,
            "spectrum_distance": self.spectrum_distance,
            "object_px": self.object_px,
            "lines": self.lines(),
            "proposal": self.proposal().chain,
            "reasons": list(self.proposal().reasons),
        }


def compare_domains(
    source: UnlabelledImages,
    target: UnlabelledImages,
    spec: SegmenterSpec,
    source_zoom: float = 1.0,
    reference: Traits | None = None,
    cuts: Cuts | None = None,
) -> Comparison:
    """Look at a bounded choice of cuts of both domains, at the working pixels of a network.

    Args:
        source, target: Images of the domains.
        spec: Intensity and working pixels; ``spec.input.zoom`` is the target's.
        source_zoom: The zoom at which the network sees the source.
        reference: Traits of the source's labels, for the size of its objects.
        cuts: How much is looked at.

    Raises:
        BadInput: The domains have other channels, or one has no image.
    """
    for name, images in (("source", source), ("target", target)):
        if not len(images):
            raise BadInput(f"the {name}", "no image", "at least one")
    if source.channels != target.channels:
        expected = f"{source.channels}, what the source has"
        raise BadInput(target[0].image.path, f"{target.channels} channels", expected, "choose one with --channel")
    cuts = Cuts(depth=1) if cuts is None else cuts
    alone = spec.model_copy(update={"neighbours": 0})
    looks = [
        measure_appearance(
            [plane for view in read_views(regions, alone, zoom, cuts) for plane in view.image.swapaxes(0, 1)]
        )
        for regions, zoom in ((source.regions, source_zoom), (target.regions, spec.input.zoom))
    ]
    return Comparison(
        source=looks[0],
        target=looks[1],
        source_pixel_nm=_median_size(source.regions),
        target_pixel_nm=_median_size(target.regions),
        histogram_distance=histogram_distance(looks[0].levels, looks[1].levels),
        inverse_distance=histogram_distance(looks[0].levels, looks[1].levels[:, ::-1]),
        spectrum_distance=spectrum_distance(looks[0].spectrum, looks[1].spectrum),
        object_px=_diameter(reference),
    )


def _median_size(regions: Sequence[ImageRegion]) -> float | None:
    sizes = [region.pixel_size_nm for region in regions]
    known = [size for size in sizes if size is not None]
    return float(np.median(known)) if len(known) == len(sizes) else None


def _diameter(reference: Traits | None) -> float | None:
    if reference is None or reference.median_area_px is None:
        return None
    return math.sqrt(4 * reference.median_area_px / math.pi)


def _factor(one: float | None, other: float | None) -> float:
    """The ratio of the larger to the smaller, 1 where one of them is unknown or nothing."""
    if not one or not other:
        return 1.0
    return max(one, other) / min(one, other)


def _beside(word: str, target: float | None, source: float | None, unit: str = "") -> str:
    return f"the target is {word} ({target:.3g}{unit}, source {source:.3g})"


def _slopes(source: Appearance, target: Appearance) -> str:
    if source.slope is None or target.slope is None:
        return ""
    return f" (slope {target.slope:.1f}, source {source.slope:.1f})"
