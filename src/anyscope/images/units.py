"""Units of length in nm."""

from __future__ import annotations

NM_PER_UNIT = {"angstrom": 0.1, "nm": 1.0, "um": 1e3, "mm": 1e6, "cm": 1e7, "m": 1e9, "inch": 2.54e7, "pm": 1e-3}
"""nm in one unit, by its short name."""

_SAME = {
    "å": "angstrom",
    "ångström": "angstrom",
    "a": "angstrom",
    "nanometer": "nm",
    "nanometre": "nm",
    "micron": "um",
    "microns": "um",
    "micrometer": "um",
    "micrometre": "um",
    "\\u00b5m": "um",
    "millimeter": "mm",
    "millimetre": "mm",
    "centimeter": "cm",
    "centimetre": "cm",
    "meter": "m",
    "metre": "m",
    "picometer": "pm",
}


def nm_per_unit(unit: str | None) -> float | None:
    """nm in one ``unit``, None where it is not a known length.

    >>> nm_per_unit("micron"), nm_per_unit("nm"), nm_per_unit("pixel")
    (1000.0, 1.0, None)
    """
    # Both the micro sign and the Greek letter are in use.
    name = (unit or "").strip().lower().replace("\u00b5", "u").replace("\u03bc", "u")
    return NM_PER_UNIT.get(_SAME.get(name, name))
