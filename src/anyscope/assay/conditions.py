"""Conditions: clean, a corruption at a severity, an attack at an epsilon, or other real data; and suites of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from anyscope.attacks import ATTACKS
from anyscope.attacks.apgd import SEA_PARTS
from anyscope.corruptions import CORRUPTIONS, SEVERITIES
from anyscope.errors import BadInput, unknown_name

Kind = Literal["clean", "corruption", "attack", "shift"]
EPSILONS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""Sizes of perturbations in grey levels of 255, as in the published assay."""

STRONG_EPSILONS = (2.0, 8.0)
"""Those of the strong attacks, unless told otherwise: one that a camera might make, one that an eye still overlooks."""
STRONG_IMAGES = 16
"""Images of the strong attacks, unless told otherwise."""

CONTROL = "random_noise"
"""The attack that does not look at the network; it stands beside all others."""
TRANSFER = "transfer"
"""Images that were attacked for another network, by APGD."""
UNIVERSAL = "universal"
"""One perturbation for all images, learned on others."""
WORST = "worst"
"""Of every image the worst of all attacks of one size, chosen for the lowest pooled score."""
ENSEMBLES = ("sea", WORST)
"""Attacks whose cells follow from those of other attacks; see :mod:`anyscope.assay.worst_case`."""
SEA_NAMES = tuple(part.name for part in SEA_PARTS)
STRONG = ("sea", "square", UNIVERSAL, TRANSFER)
"""What ``--attacks strong`` stands for."""

Norm = Literal["linf", "l2"]
_NAME = r"(?P<name>[a-z0-9_]+)(?P<l2>-l2)?(?::(?P<steps>[1-9]\d*))?"
_ASKED = re.compile(_NAME + r"\Z")
_KEY = re.compile(_NAME + r"(?:/(?P<of>.+))?@(?P<level>\d+(?:\.\d+)?)\Z")


@dataclass(frozen=True)
class Condition:
    """What is done to images before they are segmented.

    Args:
        kind: What it is.
        name: Name of the corruption, of the attack, or of the other dataset.
        level: Severity 1 to 5 of a corruption; size of an attack in grey levels of 255: the largest change of a pixel,
            or with ``norm`` l2 the root mean square over the pixels, so that sizes of images do not matter.
        norm: Norm of an attack.
        steps: Steps of an attack; None for its default.
        of: The model that a transferred attack was made for.
    """

    kind: Kind
    name: str = ""
    level: float = 0.0
    norm: Norm = "linf"
    steps: int | None = None
    of: str = ""

    @property
    def key(self) -> str:
        """Its name in ledgers, gates and tables, such as ``clean``, ``contrast@3``, ``pgd@8``, ``pgd-l2:100@2``,
        ``transfer/OTHER@8``."""
        return f"{self.series}@{self.level:g}" if self.kind in ("corruption", "attack") else self.series

    @property
    def series(self) -> str:
        """The key without the level: what one curve over levels belongs to."""
        if self.kind == "shift":
            return f"shift:{self.name}"
        norm = "-l2" if self.norm == "l2" else ""
        steps = "" if self.steps is None else f":{self.steps}"
        return f"{self.name or self.kind}{norm}{steps}" + (f"/{self.of}" if self.of else "")

    @property
    def family(self) -> str:
        """The group it is summarised with: ``clean``, ``shift``, that of the corruption, or of an attack ``attack``
        where it has full knowledge of the network, ``black-box``, ``transfer``, ``universal``, ``ensemble``,
        ``control``."""
        if self.kind == "corruption":
            return CORRUPTIONS[self.name].family
        if self.kind != "attack":
            return self.kind
        special = {CONTROL: "control", TRANSFER: TRANSFER, UNIVERSAL: UNIVERSAL} | dict.fromkeys(ENSEMBLES, "ensemble")
        return special.get(self.name) or ("attack" if ATTACKS[self.name].uses_gradient else "black-box")

    @property
    def derived(self) -> bool:
        """Whether its cells follow from those of other conditions."""
        return self.kind == "attack" and self.name in ENSEMBLES

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
        if name in ATTACKS or name in (UNIVERSAL, WORST, TRANSFER):
            if bool(match["of"]) != (name == TRANSFER):
                raise BadInput(f"condition {key!r}", "not a condition", "transfer/MODEL@EPSILON, or NAME@EPSILON")
            steps = None if match["steps"] is None else int(match["steps"])
            return cls("attack", name, level, "l2" if match["l2"] else "linf", steps, match["of"] or "")
        if name not in CORRUPTIONS or match["l2"] or match["steps"] or match["of"]:
            raise unknown_name("condition", name, [*CORRUPTIONS, *ATTACKS, UNIVERSAL, TRANSFER])
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


def attack_conditions(
    names: Iterable[str],
    epsilons: Sequence[float] | None = None,
    steps: int | None = None,
    models: Sequence[str] = (),
) -> tuple[Condition, ...]:
    """Attacks by name (``pgd``, ``pgd-l2``, ``apgd:300``), each at all sizes.

    The random control of the same norms stands beside them, and, of two attacks or more of a norm, the worst case.

    Args:
        names: Names of attacks, with their steps after a colon; ``all`` stands for all that work on one image in
            l-infinity, ``strong`` for :data:`STRONG`, ``sea`` for its parts and their worst case.
        epsilons: Sizes in grey levels of 255; None for :data:`STRONG_EPSILONS` with ``strong``, else :data:`EPSILONS`.
        steps: Steps of those that have some and say nothing; None for the default of each.
        models: The networks that ``transfer`` makes attacks for.
    """
    names = list(names)
    if epsilons is None:
        epsilons = STRONG_EPSILONS if any(_bare(name) == "strong" for name in names) else EPSILONS
    series: dict[Condition, None] = {}
    for asked in names:
        match = _ASKED.match(asked)
        name = match["name"] if match else asked
        norm: Norm = "l2" if match and match["l2"] else "linf"
        own = int(match["steps"]) if match and match["steps"] else steps
        listed = [name]
        if name == "all":
            listed = [entry for entry in ATTACKS if entry not in (CONTROL, "sea")] + ["sea"]
        elif name == "strong":
            listed = [entry for entry in STRONG if entry != TRANSFER or len(models) > 1]
        for entry in listed:
            series |= dict.fromkeys(_series(entry, norm, own, models))
    norms = dict.fromkeys(one.norm for one in series)
    if "linf" in norms and max(epsilons) > 255:
        raise BadInput("--epsilons", f"{max(epsilons):g}", "sizes in grey levels of 255, at most that")
    for norm in norms:
        if sum(one.norm == norm and not one.derived for one in series) > 1:
            series[Condition("attack", WORST, norm=norm)] = None
    series |= dict.fromkeys(Condition("attack", CONTROL, norm=norm) for norm in norms)
    return tuple(replace(one, level=float(epsilon)) for one in series for epsilon in epsilons)


def _bare(name: str) -> str:
    return name.partition(":")[0].removesuffix("-l2")


def _series(name: str, norm: Norm, steps: int | None, models: Sequence[str]) -> list[Condition]:
    """The conditions of an attack at no size yet."""
    if name == "sea":
        return [Condition("attack", part, 0.0, norm, steps) for part in (*SEA_NAMES, "sea")]
    if name == TRANSFER:
        if len(models) < 2:
            raise BadInput("--attacks transfer", f"{len(models)} network", "two networks or more of one convention")
        return [Condition("attack", TRANSFER, 0.0, norm, steps, model) for model in models]
    if name == UNIVERSAL:
        return [Condition("attack", UNIVERSAL, 0.0, norm, steps)]
    if name not in ATTACKS:
        raise unknown_name("attack", name, [*ATTACKS, UNIVERSAL, TRANSFER, "all", "strong"])
    has_steps = "steps" in ATTACKS[name].__dataclass_fields__
    return [Condition("attack", name, 0.0, norm, steps if has_steps else None)]
