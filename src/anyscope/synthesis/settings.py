"""Settings of a learned painter."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class PainterSettings(BaseModel):
    """How a painter learns.

    Args:
        patch_px: Edge of a patch, a multiple of 4.
        batch: Patches in a step.
        epochs, steps_per_epoch: Length of the training; over the second half of the epochs the rate falls to nothing.
        filters, blocks: Size of the generator; 64 and 9 as published, less by default for processors.
        discriminator_filters: Of the first layer of the discriminator; 64 as published.
        lambda_l1: Weight of the absolute difference from the real image beside that of looking real; 100 as published
            for generators of noisy images; here images are clean and their brightness is given, and less suffices.
        learning_rate: Of both networks.
        scenes: Real label images that are kept as the store of shapes, drawn evenly.
        seed: Seed of weights and patches.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    patch_px: Annotated[int, Field(ge=32, le=1024, multiple_of=4)] = 128
    batch: Annotated[int, Field(ge=1, le=256)] = 4
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 16
    steps_per_epoch: Annotated[int, Field(ge=1, le=100_000)] = 50
    filters: Annotated[int, Field(ge=4, le=256)] = 24
    blocks: Annotated[int, Field(ge=0, le=32)] = 5
    discriminator_filters: Annotated[int, Field(ge=4, le=256)] = 32
    lambda_l1: Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)] = 20.0
    learning_rate: Rate = 2e-4
    scenes: Annotated[int, Field(ge=1, le=10_000)] = 200
    seed: Annotated[int, Field(ge=0)] = 0
