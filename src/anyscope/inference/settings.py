"""How a prediction is carried out. Nothing here changes what is predicted, except test-time augmentation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Augmentation = Literal["none", "flips", "d4"]


class InferenceSettings(BaseModel):
    """Settings of tiled prediction.

    Args:
        tile: Height and width of a tile in working pixels, rounded up to the network's stride; as large as memory
            allows where None.
        halo: Context around what is kept of a tile, in working pixels, rounded up to the stride; what makes tiled equal
            to untiled prediction where None.
        batch: Most tiles in one forward pass; fewer where memory does not allow as many.
        augmentation: Test-time augmentation: the mean over 1, 4 (flips) or 8 (flips and quarter turns) orientations.
        memory_bytes: Memory that the prediction may use; half of what is free where None.
        device: ``auto`` leaves the network where it is; otherwise it is moved to this torch device.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tile: Annotated[int, Field(gt=0)] | None = None
    halo: Annotated[int, Field(ge=0)] | None = None
    batch: Annotated[int, Field(gt=0, le=1024)] = 4
    augmentation: Augmentation = "none"
    memory_bytes: Annotated[int, Field(gt=0)] | None = None
    device: str = "auto"
