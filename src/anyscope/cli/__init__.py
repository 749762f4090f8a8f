"""The command line: parse, call, print. What the verbs do is in :mod:`anyscope.workflows`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout
from typing import Annotated

import typer

from anyscope.cli import adapting, looking, stressing, working
from anyscope.cli.looking import data_app
from anyscope.errors import AnyscopeError, BadInput, Interrupted
from anyscope.running import processes

app = typer.Typer(
    help="Segmentation that holds on any microscope: train, stress, adapt, predict, evaluate, report.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _part in (working.app, stressing.app, adapting.app, looking.app):
    app.registered_commands += _part.registered_commands
app.add_typer(data_app, name="data")


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"anyscope {version('anyscope')}")
        raise typer.Exit


@app.callback()
def _any_verb(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options that stand before every verb."""


_UsageError: type[Exception] = typer.BadParameter.__mro__[2]
"""The base of typer's own errors, which typer does not export by name."""
_TOGETHER = ("train", "pretrain", "adapt")
"""Verbs that ``torchrun`` may start several times, for one network."""
_GROUPS = ((), ("data",))
"""What is typed before a verb; by itself it asks what there is."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; errors are one line on stderr."""
    try:
        code = _run(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()
    except AnyscopeError as error:
        return _fail(str(error), error.exit_code)
    except _UsageError as error:
        message: str = error.format_message()  # type: ignore[attr-defined]
        return _fail(message.replace("Value error, ", ""), BadInput.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted", Interrupted.exit_code)
    except MemoryError:
        return _fail("not enough memory; take smaller tiles (--tile), a smaller batch or patch, or --memory", 4)
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    return code if isinstance(code, int) else 0


def _run(arguments: Sequence[str]) -> object:
    """Carry out a verb; of processes that were started together the first one prints."""
    verb = arguments[0] if arguments else ""
    if processes.count() > 1 and not verb.startswith("-") and verb not in _TOGETHER:
        found = f"{processes.count()} processes were started together (WORLD_SIZE)"
        raise BadInput(verb or "anyscope", found, f"one, or {', '.join(_TOGETHER)}", "start it by itself; see --jobs")
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere) if processes.rank() else nullcontext():
        asked = ["--help"] if tuple(arguments) in _GROUPS else []
        return app(args=[*arguments, *asked], standalone_mode=False)


def _fail(message: str, code: int) -> int:
    print(f"anyscope: {' '.join(message.split())}", file=sys.stderr)
    return code
