"""Adversarial attacks by name."""

from anyscope.attacks.attack import Attack, Logits, Norm, Target
from anyscope.attacks.catalog import ATTACKS

__all__ = ["ATTACKS", "Attack", "Logits", "Norm", "Target"]
