"""What the zoo holds, in numbers. Needs no torch for what was computed beforehand."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import resources
from typing import Any

SIDE = 512
"""Height and width of the image that operations are counted for."""
TABLE = "descriptions.json"
"""The descriptions of the shipped models with their defaults, beside this file. ``python -m
anyscope.models.description`` writes it anew, and a test compares it with the networks."""


@dataclass(frozen=True)
class ModelDescription:
    """One model of the zoo.

    Args:
        name, summary, source, licence, notes: See :class:`~anyscope.models.entry.ModelEntry`.
        arguments: All arguments with their values.
        parameters: Number of trained numbers, for one channel in and one out, auxiliary outputs included.
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
    return {model.name: model.summary for model in describe_models()}


def describe_models() -> list[ModelDescription]:
    """Describe every model of the zoo, for grey images and a binary mask; no network is built for shipped ones."""
    table = resources.files(__package__).joinpath(TABLE).read_text(encoding="utf-8")
    shipped = [ModelDescription(**described) for described in json.loads(table)]
    # models can have been added by a program that imported the zoo, and by no other
    zoo = sys.modules.get(f"{__package__}.zoo")
    names = {model.name for model in shipped}
    return shipped + [describe_model(name) for name in (zoo.MODELS if zoo else ()) if name not in names]


def describe_model(name: str, arguments: Mapping[str, Any] | None = None) -> ModelDescription:
    """Describe a model for grey images and a binary mask; operations are counted without computing them."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from anyscope.models.segmenter import build_segmenter
    from anyscope.models.spec import SegmenterSpec
    from anyscope.models.zoo import MODELS

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


def _main() -> None:
    from anyscope.models.zoo import MODELS

    table = json.dumps([asdict(describe_model(name)) for name in MODELS], indent=1)
    with resources.as_file(resources.files(__package__).joinpath(TABLE)) as path:
        path.write_text(table + "\n", encoding="utf-8")


if __name__ == "__main__":
    _main()
