"""Small YAML documents: written plainly, read with suspicion, wrong values explained in one line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError

from anyscope.errors import BadInput, Subject, explain_os_errors, unknown_name

Made = TypeVar("Made")

_MAX_BYTES = 2**20
_MAX_DEPTH = 32


class _PlainDumper(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
        return True


def dump_document(document: Mapping[str, Any]) -> str:
    """Plain data as YAML without aliases; characters beyond ASCII are escaped, since YAML folds some of them."""
    return yaml.dump(dict(document), Dumper=_PlainDumper, sort_keys=False, width=120)


def read_document(path: Path, expected: str) -> object:
    """Parse a small YAML file that nobody vouches for.

    Args:
        path: The file.
        expected: What it should hold, in words, for messages.

    Raises:
        BadInput: Too large, not UTF-8, not YAML, nested deeply, or with aliases.
        EnvironmentFault: It cannot be read.
    """
    with explain_os_errors(path):
        size = path.stat().st_size
        if size > _MAX_BYTES:
            raise BadInput(path, f"has {size} bytes", f"{expected} of at most {_MAX_BYTES} bytes")
        raw = path.read_bytes()
    try:
        text = raw.decode("utf-8")
        _refuse_traps(text, path, expected)
        return yaml.safe_load(text)
    except UnicodeDecodeError:
        raise BadInput(path, "is not text in UTF-8", expected) from None
    except (yaml.YAMLError, ValueError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadInput(path, f"is not YAML ({first})", expected) from None


def read_mapping(path: Path, expected: str) -> dict[str, Any]:
    """Parse a small YAML file that must hold a mapping; an empty file is an empty one."""
    document = read_document(path, expected)
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise BadInput(path, f"holds a {type(document).__name__}, not a mapping", expected)
    return document


def versioned(document: object, key: str, newest: int, subject: Subject, expected: str) -> dict[str, Any]:
    """A parsed document that is a mapping, of a version that is known.

    Args:
        document: What the parser returned.
        key: Where its version stands.
        newest: The newest version that is understood.
        subject: The file, for messages.
        expected: What it should hold, in words.

    Raises:
        BadInput: It is no mapping, or of a newer version.
    """
    if not isinstance(document, dict):
        raise BadInput(subject, f"holds a {type(document).__name__}, not a mapping", expected)
    version = document.get(key)
    if isinstance(version, int) and version > newest:
        raise BadInput(
            subject, f"was made for a newer anyscope: version {version} > {newest}", remedy="upgrade anyscope"
        )
    return document


def _refuse_traps(text: str, path: Path, expected: str) -> None:
    """YAML that takes ages to parse or to copy: deep nesting, and aliases of aliases."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise BadInput(path, "has YAML aliases", f"{expected} without them")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            raise BadInput(path, "is nested too deeply", f"at most {_MAX_DEPTH} levels")


def explain(error: ValidationError) -> tuple[str, str]:
    """The key of the first problem, and the problem in words with the value that was found."""
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"]) or "document"
    message = str(first["msg"]).removeprefix("Value error, ")
    if first["type"] in ("missing", "extra_forbidden", "value_error"):
        return key, message
    value = repr(first["input"])
    return key, f"{message}, found {value if len(value) <= 60 else value[:57] + '...'}"


def build_entry(kind: type[Made], given: Mapping[str, Any], owner: str, noun: str = "parameter") -> Made:
    """An entry of a registry with parameters as a spec, a settings file or the command line has them.

    Args:
        kind: Its dataclass or model, whose fields and their types say what is valid.
        given: Plain values by name; what is left out keeps its default.
        owner: Whose parameters they are, in messages, for example ``decoder 'watershed'``.
        noun: What one of them is called.

    Raises:
        BadInput: A name that it does not have (with the nearest one), or a value missing or not valid.
    """
    valid = kind.model_fields if issubclass(kind, BaseModel) else [one.name for one in fields(kind)]  # type: ignore[arg-type]
    for name in given:
        if name not in valid:
            raise unknown_name(f"{noun} of {owner}", name, valid)
    try:
        return TypeAdapter(kind).validate_python(dict(given))
    except ValidationError as error:
        key, problem = explain(error)
        raise BadInput(f"{noun} {key!r} of {owner}", problem) from None
