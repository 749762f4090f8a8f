"""How images look, in numbers that need no label: grey levels, noise, finest detail, spectrum, black padding.

All lengths are in pixels of what is given, all grey levels in 0..1. Padding does not count in any of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anyscope.adaptation.histogram import Counts, count_levels

_PADDING_PX = 64
"""Black regions at the border of at least so many pixels are padding."""
_SHORTEST_PERIOD_PX, _LONGEST_PERIOD_PX = 2.0, 64.0
_BANDS = 20
_SLOPE_PERIODS_PX = 5.0, 50.0
"""The slope is taken between these periods: finer ones are noise, of coarser ones a crop holds too few."""

Plane = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Appearance:
    """What some images look like.

    Args:
        levels: (c, 256) shares of the grey levels of each channel.
        mean: Mean grey level.
        contrast: Standard deviation of the grey level, mean over the planes.
        noise: Standard deviation of the noise, see :func:`noise_level`; None in images under 3 pixels.
        detail_px: Length of the finest detail, see :func:`detail_length_px`; None where there is no structure.
        slope: Exponent of the power spectrum, see :func:`radial_spectrum`; None where there is no structure.
        spectrum: log10 of the share of the variance in each band of periods (shortest last), NaN in bands without any
            frequency; in units of all bands.
        padding: Share of pixels that are black padding.
    """

    levels: Counts
    mean: float
    contrast: float
    noise: float | None
    detail_px: float | None
    slope: float | None
    spectrum: NDArray[np.float64]
    padding: float


def measure_appearance(images: Sequence[NDArray[np.float32]]) -> Appearance:
    """The appearance of images (c, y, x) in 0..1, at least one; measured in each channel and averaged."""
    planes = [channel.astype(np.float64) for image in images for channel in image]
    padded = [padding(plane) for plane in planes]
    inside = [plane[~black] for plane, black in zip(planes, padded, strict=True) if not black.all()]
    levels = count_levels(images)
    for place, black in enumerate(padded):
        levels[place % len(levels), 0] -= black.sum()
    spectra = [radial_spectrum(plane, black) for plane, black in zip(planes, padded, strict=True)]
    spectrum = _mean_of(spectra)
    return Appearance(
        levels=levels / np.maximum(levels.sum(axis=1, keepdims=True), 1),
        mean=float(np.mean(np.concatenate(inside))) if inside else 0.0,
        contrast=float(np.mean([values.std() for values in inside])) if inside else 0.0,
        noise=_mean_known([noise_level(plane, black) for plane, black in zip(planes, padded, strict=True)]),
        detail_px=_mean_known([detail_length_px(plane, black) for plane, black in zip(planes, padded, strict=True)]),
        slope=spectral_slope(spectrum),
        spectrum=spectrum,
        padding=float(sum(black.sum() for black in padded) / sum(black.size for black in padded)),
    )


def padding(plane: Plane) -> NDArray[np.bool_]:
    """Where a plane (y, x) is black padding: exactly 0, connected, at the border, and at least 64 pixels."""
    from scipy import ndimage

    regions, count = ndimage.label(plane == 0)
    if not count:
        return np.zeros(plane.shape, bool)
    rim = np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]])
    large = np.bincount(regions.ravel()) >= _PADDING_PX
    large[0] = False
    touching = np.zeros_like(large)
    touching[rim] = True
    return np.asarray((large & touching)[regions])


def noise_level(plane: Plane, padded: NDArray[np.bool_] | None = None) -> float | None:
    """Standard deviation of white noise in a plane (y, x); None under 3 x 3 pixels.

    The second difference along both axes cancels whatever is locally smooth and has 6 times the deviation of the noise
    (Immerkaer, CVIU 64:300, 1996); its median instead of its mean keeps edges out. Fine texture counts as noise, noise
    that was smoothed does not.
    """
    if min(plane.shape) < 3:
        return None
    response = np.abs(np.diff(np.diff(plane, 2, axis=0), 2, axis=1))
    if padded is not None and padded.any():
        from scipy import ndimage

        response = response[~ndimage.binary_dilation(padded, np.ones((3, 3)))[1:-1, 1:-1]]
    return float(np.median(response) / (0.6744897501960817 * 6)) if response.size else None


def detail_length_px(plane: Plane, padded: NDArray[np.bool_] | None = None) -> float | None:
    """Length of the finest detail of a plane (y, x): the sigma of the blur that would leave such detail of white noise.

    From the autocovariance at lags of 1 and 2 pixels, where white noise of the camera has no part: that of blurred
    white noise is proportional to exp(-lag^2 / (4 sigma^2)), so that sigma^2 = 3 / (4 log(c1 / c2)). Of several scales
    the finer count more. None where the plane is constant, pure noise, or without a finest scale.
    """
    weight = np.ones(plane.shape) if padded is None else (~padded).astype(np.float64)
    if not weight.any():
        return None
    values = (plane - (plane * weight).sum() / weight.sum()) * weight
    one, two = (_autocovariance(values, weight, lag) for lag in (1, 2))
    if one is None or two is None or two <= 1e-9 or one <= two * (1 + 1e-6):
        return None
    return float(np.sqrt(3 / (4 * np.log(one / two))))


def _autocovariance(values: Plane, weight: Plane, lag: int) -> float | None:
    """Mean product of values ``lag`` pixels apart, over both axes."""
    product = values[lag:] * values[:-lag], values[:, lag:] * values[:, :-lag]
    pairs = weight[lag:] * weight[:-lag], weight[:, lag:] * weight[:, :-lag]
    count = sum(float(each.sum()) for each in pairs)
    return sum(float(each.sum()) for each in product) / count if count else None


def band_periods_px() -> NDArray[np.float64]:
    """Edges of the bands of the radial spectrum, as periods in pixels, longest first: 64 to 2, evenly in logarithm."""
    return np.geomspace(_LONGEST_PERIOD_PX, _SHORTEST_PERIOD_PX, _BANDS + 1)


def radial_spectrum(plane: Plane, padded: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """log10 of the mean power of a plane (y, x) in each band of periods, NaN in bands without any frequency.

    The plane is seen through a Hann window; padding is filled with its mean. Powers are relative to their sum over the
    bands, so that contrast plays no part. All NaN where the plane is constant.
    """
    nothing = np.full(_BANDS, np.nan)
    inside = plane if padded is None else plane[~padded]
    if not inside.size or np.ptp(inside) < 1e-6:
        return nothing
    centred = plane - inside.mean()
    if padded is not None:
        centred[padded] = 0
    window = np.outer(np.hanning(plane.shape[0] + 2)[1:-1], np.hanning(plane.shape[1] + 2)[1:-1])
    power = np.abs(np.fft.rfft2(centred * window)) ** 2
    frequency = np.hypot(np.fft.fftfreq(plane.shape[0])[:, None], np.fft.rfftfreq(plane.shape[1])[None])
    band = np.digitize(frequency, 1 / band_periods_px(), right=True) - 1
    known = (band >= 0) & (band < _BANDS)
    count = np.bincount(band[known], minlength=_BANDS)
    total = np.bincount(band[known], power[known], minlength=_BANDS)
    mean = np.divide(total, count, out=np.full(_BANDS, np.nan), where=(count > 0) & (total > 0))
    return nothing if np.isnan(mean).all() else np.asarray(np.log10(mean / np.nansum(mean)))


def spectral_slope(spectrum: NDArray[np.float64]) -> float | None:
    """Exponent a of power ~ frequency^a between periods of 5 and 50 pixels; None where fewer than 3 bands are known."""
    edges = band_periods_px()
    period = np.sqrt(edges[:-1] * edges[1:])
    used = (period >= _SLOPE_PERIODS_PX[0]) & (period <= _SLOPE_PERIODS_PX[1]) & np.isfinite(spectrum)
    if used.sum() < 3:
        return None
    return float(np.polyfit(-np.log10(period[used]), spectrum[used], 1)[0])


def histogram_distance(one: Counts, other: Counts) -> float:
    """Wasserstein distance of two sets of histograms (c, 256), in grey levels of 0..1, mean over the channels."""
    shares = [each / np.maximum(each.sum(axis=1, keepdims=True), 1e-12) for each in (one, other)]
    apart = np.abs(np.cumsum(shares[0] - shares[1], axis=1)).sum(axis=1)
    return float(apart.mean() / (one.shape[1] - 1))


def spectrum_distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float | None:
    """Mean difference of two radial spectra in decades of power, over the bands that both have; None without any."""
    both = np.isfinite(one) & np.isfinite(other)
    return float(np.abs(one[both] - other[both]).mean()) if both.any() else None


def _mean_of(spectra: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Mean of spectra over those that know a band."""
    stacked = np.stack(spectra)
    known = np.isfinite(stacked)
    total = np.where(known, stacked, 0).sum(axis=0)
    mean = np.full(total.shape, np.nan)
    np.divide(total, known.sum(axis=0), out=mean, where=known.any(axis=0))
    return mean


def _mean_known(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
