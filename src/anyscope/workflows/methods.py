"""``anyscope methods``: the steps of adaptations and the rules of selection there are, with their parameters."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

from anyscope.adaptation import RULES, STEPS
from anyscope.adaptation.settings import TRAINING
from anyscope.adaptation.step import STAGES
from anyscope.errors import unknown_name

SELECTION = "selection"


@dataclass(frozen=True)
class MethodDescription:
    """One step of adaptation, or one rule of selection.

    Args:
        name: Its name.
        stage: When it is carried out, or ``selection``.
        summary: What it does, in one line.
        source: Where it comes from.
        parameters: Values by name and then by profile; empty for rules.
    """

    name: str
    stage: str
    summary: str
    source: str
    parameters: dict[str, dict[str, Any]]


def list_methods(name: str | None = None) -> list[MethodDescription]:
    """All steps, in the order of their stages, and all rules; or the one called ``name``."""
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
        words = inspect.getdoc(rule if inspect.isfunction(rule) else type(rule)) or ""
        found.append(MethodDescription(key, SELECTION, " ".join(words.split("\n\n")[0].split()), "", {}))
    if name is None:
        return found
    chosen = [one for one in found if one.name == name]
    if not chosen:
        raise unknown_name("method", name, [one.name for one in found])
    return chosen


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
    print(methods_page(), end="")
