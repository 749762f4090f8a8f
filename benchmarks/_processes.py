"""Steps of a benchmark, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any


def in_new_process(module: str, name: str, folder: str, environment: Mapping[str, str] | None = None) -> Any:
    """What one step prints as its last line, which is JSON. The process that asks stays small: a child starts with the
    peak memory of its parent.

    Args:
        module: The benchmark, run as ``python -m MODULE NAME FOLDER``.
        name: The step.
        folder: Where its inputs are.
        environment: Variables beside those of this process.
    """
    command = [sys.executable, "-m", module, name, folder]
    variables = os.environ | dict(environment or {})
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=variables)
    return json.loads(done.stdout.splitlines()[-1])
