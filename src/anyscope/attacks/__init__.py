"""Adversarial attacks by name, and what is needed to use and to trust them."""

from anyscope.attacks.attack import Attack, Logits, Norm, Target
from anyscope.attacks.catalog import ATTACKS
from anyscope.attacks.logits import class_logits
from anyscope.attacks.rounding import round_to_bits
from anyscope.attacks.sanity import check_attack

__all__ = ["ATTACKS", "Attack", "Logits", "Norm", "Target", "check_attack", "class_logits", "round_to_bits"]
