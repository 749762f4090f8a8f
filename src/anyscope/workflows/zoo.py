"""``anyscope models``: the zoo."""

from __future__ import annotations

from anyscope.models import MODELS
from anyscope.models.description import ModelDescription, describe_model


def list_models(name: str | None = None) -> list[ModelDescription]:
    """What is known of one model, or of all."""
    return [describe_model(each) for each in (MODELS if name is None else [name])]
