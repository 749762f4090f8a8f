"""What the zoo holds, in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from anyscope.models.segmenter import build_segmenter
from anyscope.models.spec import SegmenterSpec
from anyscope.models.zoo import MODELS

SIDE = 512
"""Height and width of the image that operations are counted for."""


@dataclass(frozen=True)
class ModelDescription:
    """One model of the zoo.

    Args:
        name, summary, source, licence, notes: See :class:`~anyscope.models.entry.ModelEntry`.
        arguments: All arguments with their values.
        parameters: Number of trained numbers, for one channel in and one out.
        flops: Floating-point operations of one forward pass of a 512 x 512 image, a multiplication and an addition
            counted as two.
        stride: Down-sampling factor.
        pretrained: Whether ImageNet weights can be fetched.
    """

    name: str
    summary: str
    arguments: dict[str, Any]
    parameters: int
    flops: int
    stride: int
    pretrained: bool
    source: str
    licence: str
    notes: str


def list_models() -> dict[str, str]:
    """Names of the zoo with one line for each."""
    return {name: entry.summary for name, entry in MODELS.items()}


def describe_model(name: str, arguments: Mapping[str, Any] | None = None) -> ModelDescription:
    """Describe a model for grey images and a binary mask; operations are counted without computing them."""
    entry = MODELS[name]
    checked = entry.check(arguments or {})
    segmenter = build_segmenter(SegmenterSpec(model=name, arguments=dict(arguments or {}), task="semantic"), seed=0)
    parameters = sum(parameter.numel() for parameter in segmenter.parameters() if parameter.requires_grad)
    segmenter.to("meta").eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        segmenter(torch.zeros(1, 1, SIDE, SIDE, device="meta"))
    return ModelDescription(
        name=name,
        summary=entry.summary,
        arguments=checked.model_dump(mode="json"),
        parameters=parameters,
        flops=int(counter.get_total_flops()),
        stride=segmenter.stride,
        pretrained=entry.pretrained is not None,
        source=entry.source,
        licence=entry.licence,
        notes=entry.notes,
    )
