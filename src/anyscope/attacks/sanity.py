"""Signs that an attack failed, in scores that are there already.

An attack that finds nothing looks like a robust network. The signs are those of Athalye et al. (ICML 2018, arXiv
1802.00420, section 3.1) and Carlini et al. (arXiv 1902.06705, section 3): more radius or more steps must not help the
network, a radius without limit must break it, noise must not do as well as the gradient, and neither another network's
attacks nor those without gradients must do better than its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from anyscope.errors import BadInput

LARGE_EPSILON = 32 / 255
"""A radius (``linf``) at which an attack ought to have broken any network."""


def check_attack(
    scores_by_epsilon: Mapping[float, float],
    clean: float,
    control_by_epsilon: Mapping[float, float],
    scores_by_steps: Mapping[int, float] | None = None,
    transfer_by_epsilon: Mapping[float, float] | None = None,
    *,
    black_box_by_epsilon: Mapping[float, float] | None = None,
    tolerance: float = 0.02,
    large_epsilon: float = LARGE_EPSILON,
    broken: float = 0.1,
) -> tuple[str, ...]:
    """Warnings about an attack, one sentence each; none if its scores look as they should.

    Args:
        scores_by_epsilon: Score under attack (0..1, higher is better for the network) by radius.
        clean: Score without attack.
        control_by_epsilon: Score under noise of the same size, by radius.
        scores_by_steps: Score under attack at one radius by number of steps.
        transfer_by_epsilon: Score under attacks that were made for another network, by radius.
        black_box_by_epsilon: Score under attacks that use no gradient, by radius.
        tolerance: Differences up to this are taken for chance.
        large_epsilon: The radius from which on an attack should leave next to nothing; another one for ``l2``.
        broken: A score of this part of ``clean`` or less is next to nothing.

    Raises:
        BadInput: No scores, or a score outside 0..1.

    >>> check_attack({0.01: 0.6, 0.13: 0.02}, 0.9, {0.01: 0.89, 0.13: 0.7})
    ()
    >>> check_attack({0.13: 0.5}, 0.9, {0.13: 0.7})[0].partition(":")[0]
    'At epsilon 0.13 (33.1/255) the attack still leaves a score of 0.50 of 0.90'
    """
    tables: tuple[Mapping[Any, float], ...] = (scores_by_epsilon, control_by_epsilon, scores_by_steps or {})
    tables += (transfer_by_epsilon or {}, black_box_by_epsilon or {})
    values = [clean, *(value for table in tables for value in table.values())]
    if not scores_by_epsilon or not all(0 <= value <= 1 for value in values):
        raise BadInput("scores of an attack", f"{values}", "scores in 0..1, at least one under attack")
    ladder = sorted(scores_by_epsilon.items())
    warnings = []
    for (smaller, before), (larger, after) in pairwise([(0.0, clean), *ladder]):
        if after > before + tolerance:
            warnings.append(
                f"The score rises from {before:.2f} to {after:.2f} where epsilon rises from {_radius(smaller)} to "
                f"{_radius(larger)}: more room cannot make an attack weaker, so it fails at the larger one."
            )
    for (fewer, before), (more, after) in pairwise(sorted((scores_by_steps or {}).items())):
        if after > before + tolerance:
            warnings.append(
                f"The score rises from {before:.2f} with {fewer} steps to {after:.2f} with {more}: more steps cannot "
                "make an attack weaker, so its steps have the wrong size or it loses its best result."
            )
    largest, last = ladder[-1]
    # Less a little: 32/255 may come from a file.
    if largest >= large_epsilon * (1 - 1e-6) and last > broken * clean:
        warnings.append(
            f"At epsilon {_radius(largest)} the attack still leaves a score of {last:.2f} of {clean:.2f}: "
            "it misses what is there, or the objects stand out by more than epsilon."
        )
    for epsilon, score in ladder:
        noise = control_by_epsilon.get(epsilon)
        if noise is not None and score > broken * clean and noise < clean - tolerance and noise <= score + tolerance:
            warnings.append(
                f"At epsilon {_radius(epsilon)} random noise of the same size leaves {noise:.2f}, the attack "
                f"{score:.2f}: the gradient does not help it, so it may be masked."
            )
        foreign = (transfer_by_epsilon or {}).get(epsilon)
        if foreign is not None and foreign < score - tolerance:
            warnings.append(
                f"At epsilon {_radius(epsilon)} attacks made for another network leave {foreign:.2f}, its own "
                f"{score:.2f}: the own attack should be the stronger one, so its gradient may be masked."
            )
        blind = (black_box_by_epsilon or {}).get(epsilon)
        if blind is not None and blind < score - tolerance:
            warnings.append(
                f"At epsilon {_radius(epsilon)} an attack without gradients leaves {blind:.2f}, the one by gradient "
                f"{score:.2f}: it should be the other way round, so the gradient is masked."
            )
    return tuple(warnings)


def _radius(epsilon: float) -> str:
    """A radius as a number and in grey levels."""
    return f"{epsilon:.3g} ({epsilon * 255:.3g}/255)"
