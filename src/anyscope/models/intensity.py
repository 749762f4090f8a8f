"""Stand-in for anyscope.images.Intensity until that part is merged."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Intensity(BaseModel):
    """How grey levels become 0..1."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: Literal["dtype", "percentiles", "fixed"] = "dtype"
    low: float | None = None
    high: float | None = None
