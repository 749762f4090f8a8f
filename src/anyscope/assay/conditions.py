"""Conditions: clean, a corruption at a severity, an attack at an epsilon, or other real data; and suites of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from anyscope.attacks import ATTACKS
from anyscope.corruptions import CORRUPTIONS, SEVERITIES
from anyscope.errors import BadInput, unknown_name

Kind = Literal["clean", "corruption", "attack", "shift"]
EPSILONS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""Sizes of perturbations in grey levels of 255, as in the published assay."""

CONTROL = "random_noise"
"""The attack that does not look at the network; it stands beside all others."""

_KEY = re.compile(r"(?P<name>[a-z0-9_]+)(?P<l2>-l2)?@(?P<level>\d+(?:\.\d+)?)\Z")


@dataclass(frozen=True)
class Condition:
    """What is done to images before they are segmented.

    Args:
        kind: What it is.
        name: Name of the corruption, of the attack, or of the other dataset.
        level: Severity 1 to 5 of a corruption; size of an attack in grey levels of 255: the largest change of a pixel,
            or with ``norm`` l2 the root mean square over the pixels, so that sizes of images do not matter.
        norm: Norm of an attack.
    """

    kind: Kind
    name: str = ""
    level: float = 0.0
    norm: Literal["linf", "l2"] = "linf"

    @property
    def key(self) -> str:
        """Its name in ledgers, gates and tables, such as ``clean``, ``contrast@3``, ``pgd@8``, ``pgd-l2@2``."""
        return f"{self.series}@{self.level:g}" if self.kind in ("corruption", "attack") else self.series

    @property
    def series(self) -> str:
        """The key without the level: what one curve over levels belongs to."""
        if self.kind == "shift":
            return f"shift:{self.name}"
        return f"{self.name}-l2" if self.norm == "l2" else self.name or self.kind

    @property
    def family(self) -> str:
        """The group it is summarised with: ``clean``, ``attack``, ``control``, ``shift`` or that of the corruption."""
        if self.kind == "corruption":
            return CORRUPTIONS[self.name].family
        return "control" if self.kind == "attack" and self.name == CONTROL else self.kind

    @classmethod
    def parse(cls, key: str) -> Condition:
        """The condition of a key.

        >>> Condition.parse("gaussian_noise@3").level
        3.0
        """
        if key == "clean":
            return cls("clean")
        if key.startswith("shift:"):
            return cls("shift", key.removeprefix("shift:"))
        match = _KEY.match(key)
        if match is None:
            raise BadInput(f"condition {key!r}", "not a condition", "clean, NAME@SEVERITY or NAME@EPSILON")
        name, level = match["name"], float(match["level"])
        if name in ATTACKS:
            return cls("attack", name, level, "l2" if match["l2"] else "linf")
        if name not in CORRUPTIONS or match["l2"]:
            raise unknown_name("condition", name, [*CORRUPTIONS, *ATTACKS])
        if level not in SEVERITIES:
            raise BadInput(f"condition {key!r}", f"severity {level:g}", "1, 2, 3, 4 or 5")
        return cls("corruption", name, level)


CLEAN = Condition("clean")
_QUICK = ("gaussian_noise", "shot_noise", "gaussian_blur", "contrast", "gamma", "resampling")


def corruption_conditions(names: Iterable[str], severities: Sequence[int] = SEVERITIES) -> tuple[Condition, ...]:
    """The corruptions called ``names``, each at all severities."""
    names = [CORRUPTIONS[name].name for name in names]
    return tuple(Condition("corruption", name, float(severity)) for name in names for severity in severities)


def suite(name: str) -> tuple[Condition, ...]:
    """The conditions of a suite, without the clean one.

    ``quick`` has six corruptions that any microscope may show, at severities 1, 3 and 5; ``fluorescence``, ``electron``
    and ``digital`` have all corruptions of the family, ``full`` has all there are, at five severities; ``none`` none.
    """
    families = {entry: kind.family for entry, kind in CORRUPTIONS.items()}
    if name == "quick":
        return corruption_conditions(_QUICK, (1, 3, 5))
    if name == "none":
        return ()
    if name == "full":
        return corruption_conditions(CORRUPTIONS)
    if name in families.values():
        return corruption_conditions(entry for entry, family in families.items() if family == name)
    raise unknown_name("suite", name, ["quick", "none", "full", *dict.fromkeys(families.values())])


def suites(text: str) -> tuple[Condition, ...]:
    """The conditions of suites, corruptions and single conditions, separated by commas: ``quick,charging,gamma@5``."""
    found: dict[Condition, None] = {}
    for name in (part.strip() for part in text.split(",")):
        if "@" in name:
            conditions: tuple[Condition, ...] = (Condition.parse(name),)
        else:
            conditions = corruption_conditions([name]) if name in CORRUPTIONS else suite(name)
        found |= dict.fromkeys(conditions)
    return tuple(found)


def attack_conditions(names: Iterable[str], epsilons: Sequence[float] = EPSILONS) -> tuple[Condition, ...]:
    """Attacks by name (``pgd``, ``pgd-l2``), each at all sizes, with the random control of the same norms beside them.

    Args:
        names: Names of attacks; ``all`` stands for all of them in l-infinity.
        epsilons: Sizes in grey levels of 255.
    """
    wanted: list[tuple[str, Literal["linf", "l2"]]] = []
    for name in names:
        if name == "all":
            wanted += [(entry, "linf") for entry in ATTACKS if entry != CONTROL]
            continue
        bare = name.removesuffix("-l2")
        if bare not in ATTACKS:
            raise unknown_name("attack", bare, ATTACKS)
        wanted.append((bare, "l2" if name.endswith("-l2") else "linf"))
    norms = dict.fromkeys(norm for _, norm in wanted)
    wanted += [(CONTROL, norm) for norm in norms]
    return tuple(
        Condition("attack", name, float(epsilon), norm) for name, norm in dict.fromkeys(wanted) for epsilon in epsilons
    )
