"""A course that is stopped in the middle, as by a kill."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


class Killed(Exception):
    """Stands for the kill."""


def run_and_kill(
    run: Callable[[], Any], course: type, step: int, where: Callable[[Any], bool] = lambda _: True
) -> None:
    """Call ``run``, and end it where a course of this kind for which ``where`` holds comes to ``step``."""
    original = course.step

    def stopping(self, number):
        if number == step and where(self):
            raise Killed
        return original(self, number)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(course, "step", stopping)
        run()
