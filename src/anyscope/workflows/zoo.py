"""``anyscope models``: the zoo."""

from __future__ import annotations

from anyscope.models.description import ModelDescription, describe_model, describe_models


def list_models(name: str | None = None) -> list[ModelDescription]:
    """What is known of one model, or of all."""
    return describe_models() if name is None else [describe_model(name)]
