"""``anyscope methods``: what can be chosen by name, with parameters: steps of adaptation, rules of selection, decoders,
linkers, pretexts, protocols of evaluation."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from dataclasses import MISSING, Field, dataclass, fields
from typing import Any

from anyscope.adaptation import RULES, STEPS
from anyscope.adaptation.settings import TRAINING
from anyscope.adaptation.step import STAGES
from anyscope.contracts import HEADS
from anyscope.errors import unknown_name
from anyscope.instances import DECODERS, LINKERS
from anyscope.metrics import PROTOCOLS
from anyscope.training.losses import DEFAULT_LOSSES
from anyscope.training.pretext import PRETEXTS

SELECTION = "selection"
OBJECTS = {"decoder": DECODERS, "linker": LINKERS, "pretext": PRETEXTS}
PROTOCOL = "protocol"


@dataclass(frozen=True)
class MethodDescription:
    """Something that can be chosen by name.

    Args:
        name: Its name.
        stage: When a step of adaptation is carried out; ``selection``, ``decoder``, ``linker``, ``pretext`` or
            ``protocol`` for the others.
        summary: What it does, in one line.
        source: Where it comes from, empty where its documentation says so.
        parameters: Values by name, then by profile or as ``default``; empty where there are none.
    """

    name: str
    stage: str
    summary: str
    source: str
    parameters: dict[str, dict[str, Any]]


def list_methods(name: str | None = None) -> list[MethodDescription]:
    """All steps in the order of their stages, all rules, decoders, linkers, pretexts and protocols; or ``name``."""
    found = []
    for stage in STAGES:
        for key, step in STEPS.items():
            if step.stage == stage:
                values = {
                    profile: step.model_validate(dict(step.profiles.get(profile, {}))).model_dump(mode="json")
                    for profile in TRAINING
                }
                parameters = {one: {p: values[p][one] for p in TRAINING} for one in step.model_fields}
                found.append(MethodDescription(key, stage, step.summary, step.source, parameters))
    for key, rule in RULES.items():
        found.append(MethodDescription(key, SELECTION, _first_words(rule), "", {}))
    for kind, registry in OBJECTS.items():
        for key, entry in registry.items():
            found.append(MethodDescription(key, kind, _first_words(entry), "", _defaults(entry)))
    for key, protocol in PROTOCOLS.items():
        found.append(MethodDescription(key, PROTOCOL, protocol.summary, protocol.source, {}))
    if name is None:
        return found
    chosen = [one for one in found if one.name == name]
    if not chosen:
        raise unknown_name("method", name, [one.name for one in found])
    return chosen


def _first_words(entry: Any) -> str:
    words = inspect.getdoc(entry if inspect.isfunction(entry) or inspect.isclass(entry) else type(entry)) or ""
    return " ".join(words.split("\n\n")[0].replace("``", "").split())


def _defaults(entry: Any) -> dict[str, dict[str, Any]]:
    def default(field: Field[Any]) -> Any:
        return "required" if field.default is MISSING else field.default

    return {field.name: {"default": default(field)} for field in fields(entry)}


def objects_page() -> str:
    """The page docs/objects.md: heads, decoders, linkers, pretexts and protocols, rendered from their registries."""
    everything = list_methods()

    def entries(stage: str) -> Iterator[str]:
        for one in everything:
            if one.stage == stage:
                yield from ("", f"### {one.name}", one.summary)
                if one.parameters:
                    values = (f"`{key}` {_plain(value['default']) or 'none'}" for key, value in one.parameters.items())
                    yield from ("", f"Parameters: {'; '.join(values)}.")

    lines = [
        "# Heads, decoders, linkers, pretexts, protocols",
        "Written by `python -m anyscope.workflows.methods objects > docs/objects.md`; a test compares.",
        "`anyscope methods NAME` prints one of them.",
        "",
        "## Heads",
        "`train --set heads=mask,boundary,affinities`: what the network predicts for every pixel.",
        "",
        "| head | values | loss | meaning |",
        "|---|---|---|---|",
    ]
    for head in HEADS.values():
        values = "0..1" if head.activation == "sigmoid" else "-1..1"
        lines.append(f"| `{head.name}` | {values} | {DEFAULT_LOSSES[head.name]} | {head.meaning} |")
    lines += ["", "## Decoders", "From maps to objects; `train --set decoder=NAME`, `predict --decoder NAME`."]
    lines += entries("decoder")
    lines += [
        "",
        "## Linkers",
        "From objects of slices to objects of a volume; `train --set linker=NAME`, `predict --link NAME`.",
    ]
    lines += entries("linker")
    lines += ["", "## Pretexts", "What a network learns from images without labels; `pretrain --pretext NAME`."]
    lines += entries("pretext")
    lines += ["", "## Protocols", "`evaluate --protocol NAME`, `train --set protocol=NAME`.", ""]
    for key, protocol in PROTOCOLS.items():
        said = "; ".join(f"{name}: {words}" for name, words in protocol.conventions.items())
        lines.append(f"- **`{key}`**: {protocol.summary}. {said[0].upper()}{said[1:]}. Source: {protocol.source}.")
    return "\n".join(lines) + "\n"


def methods_page() -> str:
    """The page docs/adaptation.md: every step with its parameters by profile, rendered from the registry."""
    everything = list_methods()
    lines = [
        "# Steps of adaptation",
        "Written by `python -m anyscope.workflows.methods > docs/adaptation.md`; a test compares.",
        "`anyscope adapt --method NAME+NAME` joins steps; they are carried out by stage, whatever the order.",
        "`--set NAME.parameter=value` changes a parameter, `--profile` sets where it begins.",
    ]
    for stage in STAGES:
        lines += ["", f"## {stage.capitalize()}"]
        for one in everything:
            if one.stage != stage:
                continue
            lines += ["", f"### {one.name}", f"{one.summary[0].upper()}{one.summary[1:]}. Source: {one.source}."]
            if one.parameters:
                lines += ["", f"| parameter | {' | '.join(TRAINING)} |", f"|---{'|---' * len(TRAINING)}|"]
                lines += [
                    f"| `{key}` | {' | '.join(_plain(value) for value in values.values())} |"
                    for key, values in one.parameters.items()
                ]
    lines += [
        "",
        "## Where no gap shows",
        "A training keeps its weights of a quarter before its end. Where predictions of the target have changed since",
        "then by half as much again as those of the source, and by .04 more (1 - IoU), or have collapsed, a gap shows.",
        "Without `--method`, or with `--set only_for_gaps=true`, refinements are left out where none does, and another",
        "scale is taken only where it looks far better; where a method was asked for, an alarm says so. How far that",
        "can be trusted:",
        "[results.md](results.md#whether-there-is-a-gap).",
    ]
    lines += ["", "## Selection without labels", "`--set selection=NAME`; `combined` unless told otherwise.", ""]
    lines += [f"- `{one.name}`: {one.summary}" for one in everything if one.stage == SELECTION]
    return "\n".join(lines) + "\n"


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(one)}" for key, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_plain(one) for one in value)
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


if __name__ == "__main__":
    print(objects_page() if sys.argv[1:] == ["objects"] else methods_page(), end="")
