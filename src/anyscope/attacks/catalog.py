"""The attacks by name."""

from __future__ import annotations

from anyscope.attacks import apgd, control, gradient, square
from anyscope.attacks.attack import Attack
from anyscope.registry import Registry

ATTACKS: Registry[type[Attack]] = Registry("attack")
_ENTRIES: tuple[type[Attack], ...] = (*gradient.ENTRIES, *apgd.ENTRIES, *square.ENTRIES, *control.ENTRIES)
for _entry in _ENTRIES:
    ATTACKS.add(_entry.name, _entry)
