"""Colours of heat maps: the ground stands for a number, the text on it can be read."""

from __future__ import annotations

import numpy as np

from anyscope.reports.blocks import Shade


def shade(value: float) -> Shade | None:
    """A score 0..1 on the colour that stands for it, None where there is none.

    The colours are matplotlib's viridis (Smith, van der Walt, SciPy 2015), whose lightness grows evenly, also for those
    who see colours otherwise and on grey paper; the text is black or white, whichever stands out more (WCAG 2).
    """
    if not np.isfinite(value):
        return None
    from matplotlib import colormaps

    red, green, blue = (round(255 * float(part)) for part in colormaps["viridis"](float(np.clip(value, 0, 1)))[:3])
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
              for part in (red / 255, green / 255, blue / 255)]  # fmt: skip
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    ink = "#000000" if (luminance + 0.05) ** 2 > 0.05 * 1.05 else "#ffffff"
    return Shade(f"{value:.2f}", f"#{red:02x}{green:02x}{blue:02x}", ink)
