"""The attacks by name."""

from __future__ import annotations

from anyscope.attacks.attack import Attack
from anyscope.registry import Registry

ATTACKS: Registry[type[Attack]] = Registry("attack")
