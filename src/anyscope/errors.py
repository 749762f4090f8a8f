"""Errors that are meant for the user: one line that says what, where and what to do.

Every error that anyscope raises on purpose derives from :class:`AnyscopeError`. The command line prints its
single line and ends with ``exit_code``; a traceback means a defect of anyscope itself.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from os import PathLike, fspath

Subject = str | PathLike[str]


class AnyscopeError(Exception):
    """Base of all errors meant for the user.

    Args:
        subject: The file, option or key the error is about.
        found: What was found there.
        expected: What was expected instead (may be left out where it is obvious).
        remedy: What the user can do about it.
    """

    exit_code = 2

    def __init__(self, subject: Subject, found: str, expected: str = "", remedy: str = "") -> None:
        self.subject = fspath(subject)
        self.found = found
        self.expected = expected
        self.remedy = remedy
        parts = [f"{self.subject}: {found}"]
        if expected:
            parts.append(f"expected {expected}")
        if remedy:
            parts.append(remedy)
        super().__init__(" ".join("; ".join(parts).split()))

    def __reduce__(self) -> tuple[type[AnyscopeError], tuple[str, ...]]:
        """Errors travel from worker processes with their parts, not with their message alone."""
        return type(self), (self.subject, self.found, self.expected, self.remedy)


class BadInput(AnyscopeError):
    """Wrong use, or input that cannot be what the user meant (exit code 2)."""


class GateFailed(AnyscopeError):
    """A score is below the gate that was set for it (exit code 1)."""

    exit_code = 1
    result: object = None
    """What was found all the same."""


class Incomplete(AnyscopeError):
    """The run ended, but some of its parts failed and are listed (exit code 3)."""

    exit_code = 3
    result: object = None
    """What was found all the same, where that can be shown."""


class Interrupted(AnyscopeError):
    """The user stopped the run (exit code 130)."""

    exit_code = 130


class EnvironmentFault(AnyscopeError):
    """Disk, permission, network or a missing optional part (exit code 4)."""

    exit_code = 4


def unknown_name(noun: str, name: str, valid: Iterable[str]) -> BadInput:
    """The error for a name that is not registered: lists the valid ones, the nearest first.

    >>> str(unknown_name("model", "unett", ["unet", "segformer"]))
    "model 'unett': no such name; expected one of unet, segformer; did you mean 'unet'?"
    """
    names = sorted(valid)
    near = get_close_matches(name, names, n=3)
    ordered = near + [other for other in names if other not in near]
    remedy = f"did you mean {near[0]!r}?" if near else ""
    return BadInput(f"{noun} {name!r}", "no such name", f"one of {', '.join(ordered)}", remedy)


_ENVIRONMENT = {
    errno.ENOSPC: ("the disk is full", "free some space or choose another folder"),
    errno.EDQUOT: ("the disk quota is used up", "free some space or choose another folder"),
    errno.EACCES: ("permission denied", "choose a folder that you can write to, or change its permissions"),
    errno.EPERM: ("operation not permitted", "choose a folder that you can write to"),
    errno.EROFS: ("the file system is read-only", "choose a folder that you can write to"),
    errno.ENOTDIR: ("a part of the path is a file, not a folder", "choose another path"),
    errno.EISDIR: ("is a folder, not a file", "choose another path"),
    errno.ENAMETOOLONG: ("the name is too long", "choose a shorter path"),
    errno.EFBIG: ("the file is larger than the file system allows", "choose another folder"),
    errno.EIO: ("the device reported an input/output error", "check the disk"),
}


@contextmanager
def explain_os_errors(subject: Subject) -> Iterator[None]:
    """Turn an ``OSError`` inside the block into an :class:`EnvironmentFault` about ``subject``."""
    try:
        yield
    except OSError as error:
        found, remedy = _ENVIRONMENT.get(error.errno or 0, (error.strerror or str(error), "check the path"))
        raise EnvironmentFault(subject, found, remedy=remedy) from error
