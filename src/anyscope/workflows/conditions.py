"""``anyscope conditions``: the corruptions and attacks there are, with their parameters."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from anyscope.assay.conditions import TRANSFER, UNIVERSAL, Condition
from anyscope.attacks import ATTACKS
from anyscope.attacks.universal import Universal
from anyscope.corruptions import CORRUPTIONS
from anyscope.errors import unknown_name


@dataclass(frozen=True)
class ConditionDescription:
    """One corruption or attack.

    Args:
        name: Its name.
        family: ``fluorescence``, ``electron``, ``digital``, or that of an attack; see
            :attr:`anyscope.assay.conditions.Condition.family`.
        summary: What it does, in one line.
        source: Where it comes from.
        parameters: Values by name: at severities 1 to 5 for corruptions, the defaults for attacks.
        along_stack: Whether the planes of a stack are corrupted together.
    """

    name: str
    family: str
    summary: str
    source: str
    parameters: dict[str, Any]
    along_stack: bool = False


def list_conditions(name: str | None = None) -> list[ConditionDescription]:
    """All corruptions and attacks, or the one called ``name``."""
    found = [
        ConditionDescription(
            entry,
            kind.family,
            kind.summary,
            kind.source,
            {k: list(v) for k, v in kind.levels.items()},
            kind.along_stack,
        )
        for entry, kind in CORRUPTIONS.items()
    ]
    for entry, attack in ATTACKS.items():
        made = attack(epsilon=8 / 255)
        # where a parameter follows a rule, the value that is used says more than that it was left open
        defaults = {
            key: getattr(made, f"resolved_{key}", value)
            for key, value in asdict(made).items()
            if key not in ("epsilon", "norm")
        }
        family = Condition("attack", entry).family
        found.append(ConditionDescription(entry, family, attack.summary, attack.source, defaults))
    found.append(ConditionDescription(UNIVERSAL, UNIVERSAL, Universal.summary, Universal.source, {"steps": 100}))
    summary = "images attacked for one network (by apgd), shown to all others: the transfer matrix"
    source = "Papernot et al., 2016, arXiv 1605.07277"
    found.append(ConditionDescription(TRANSFER, TRANSFER, summary, source, {"steps": 30}))
    if name is None:
        return found
    chosen = [one for one in found if one.name == name]
    if not chosen:
        raise unknown_name("condition", name, [one.name for one in found])
    return chosen


def conditions_page() -> str:
    """The page docs/corruptions.md: every corruption with its parameters, rendered from the registry."""
    everything = list_conditions()
    lines = [
        "# Corruptions and attacks",
        "Written by `python -m anyscope.workflows.conditions > docs/corruptions.md`; a test compares. What each does,",
        "and every parameter at severities 1 to 5. `anyscope conditions NAME` prints one. `--suite` takes a name",
        "(`contrast`), a name with a severity (`contrast@3`), or a family.",
    ]
    for family in ("fluorescence", "electron", "digital"):
        chosen = [one for one in everything if one.family == family]
        lines += [
            "",
            f"## {family.capitalize()} ({len(chosen)})",
            "| name | what happens | parameters | 1 | 2 | 3 | 4 | 5 |",
        ]
        lines += ["|---|---|---|---|---|---|---|---|"]
        for one in chosen:
            stack = " (along the stack)" if one.along_stack else ""
            for number, (parameter, values) in enumerate(one.parameters.items()):
                first = (f"`{one.name}`", f"{one.summary}{stack}") if number == 0 else ("", "")
                lines.append(f"| {' | '.join([*first, f'`{parameter}`', *(f'{value:g}' for value in values)])} |")
        lines += ["", "Sources:"]
        sources: dict[str, list[str]] = {}
        for one in chosen:
            sources.setdefault(one.source, []).append(one.name)
        lines += [f"- {', '.join(names)}: {source}" for source, names in sources.items()]
    lines += ["", "## Attacks", "| name | what it does | parameters at epsilon 8/255 | source |", "|---|---|---|---|"]
    for one in everything:
        if one.family not in ("fluorescence", "electron", "digital"):
            given = ", ".join(f"`{key}` {_plain(value)}" for key, value in one.parameters.items()) or "none"
            lines.append(f"| `{one.name}` | {one.summary} | {given} | {one.source} |")
    return "\n".join(lines) + "\n"


def _plain(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else f"{value}"


if __name__ == "__main__":
    print(conditions_page(), end="")
