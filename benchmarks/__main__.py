"""Run the benchmarks that are named, or all of them; each is a module of this package with a ``main()``."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path


def names() -> list[str]:
    """The benchmarks, by name."""
    modules = pkgutil.iter_modules([str(Path(__file__).parent)])
    return sorted(module.name for module in modules if not module.name.startswith("_"))


def main(chosen: list[str]) -> int:
    """Run the chosen benchmarks; 2 where a name is unknown."""
    unknown = sorted(set(chosen) - set(names()))
    if unknown:
        print(f"unknown: {', '.join(unknown)}; expected some of {', '.join(names())}", file=sys.stderr)
        return 2
    for name in chosen or names():
        print(f"== {name}")
        try:
            importlib.import_module(f"benchmarks.{name}").main()
        except ModuleNotFoundError as error:
            if str(error.name).startswith(("anyscope", "benchmarks")):
                raise
            print(f"not run: {error.name} is not installed")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
