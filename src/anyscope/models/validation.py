"""Errors of pydantic in one line."""

from __future__ import annotations

from pydantic import ValidationError


def explain(error: ValidationError) -> tuple[str, str]:
    """The key of the first problem, and the problem in words with the value that was found."""
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"]) or "document"
    message = str(first["msg"]).removeprefix("Value error, ")
    if first["type"] in ("missing", "extra_forbidden", "value_error"):
        return key, message
    value = repr(first["input"])
    return key, f"{message}, found {value if len(value) <= 60 else value[:57] + '...'}"
