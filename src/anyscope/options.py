"""Values that are typed on the command line, as data."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

from anyscope.errors import BadInput

_MEMORY = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?\s*\Z", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def parse_overrides(pairs: Sequence[str]) -> dict[str, Any]:
    """``key=value`` pairs as nested data; values are YAML, keys have dots.

    >>> parse_overrides(["seed=3", "augmentation.noise=0.1", "arguments.filters=[8, 16]"])
    {'seed': 3, 'augmentation': {'noise': 0.1}, 'arguments': {'filters': [8, 16]}}
    """
    import yaml

    nested: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        path = key.strip().split(".")
        if not equals or not all(path):
            raise BadInput(f"--set {pair!r}", "not a pair", "key=value")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise BadInput(f"--set {pair!r}", f"the value is no YAML ({str(error).splitlines()[0]})") from None
        # YAML 1.1 reads 1e-3 as text.
        if isinstance(value, str) and re.fullmatch(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", value):
            value = float(value)
        place = nested
        for part in path[:-1]:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise BadInput(f"--set {pair!r}", f"{part!r} has a value already", "keys that do not contradict")
        place[path[-1]] = value
    return nested


def parse_sizes(
    text: str | None, option: str = "--voxel-size", example: str = "50,4.6,4.6"
) -> tuple[float, ...] | None:
    """Two or three positive numbers separated by commas, None where nothing was given.

    >>> parse_sizes("50,4.6,4.6")
    (50.0, 4.6, 4.6)
    """
    if text is None:
        return None
    try:
        sizes = tuple(float(part) for part in text.split(","))
    except ValueError:
        sizes = ()
    if len(sizes) not in (2, 3) or not all(0 < size < float("inf") for size in sizes):
        raise BadInput(option, repr(text), f"two or three positive numbers such as {example}")
    return sizes


def parse_numbers(text: str, option: str) -> tuple[float, ...]:
    """Positive numbers separated by commas.

    >>> parse_numbers("1,2.5", "--epsilons")
    (1.0, 2.5)
    """
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if not numbers or not all(0 < number < float("inf") for number in numbers):
        raise BadInput(option, repr(text), "positive numbers separated by commas")
    return numbers


def split_models(text: str | None) -> list[str]:
    """Names of models separated by commas, except commas within brackets.

    >>> split_models("fcn8s:width=0.25, unet:filters=[8,16]")
    ['fcn8s:width=0.25', 'unet:filters=[8,16]']
    """
    return [name.strip() for name in re.split(r",(?![^\[]*\])", text or "") if name.strip()]


def parse_channel(text: str | None) -> int | Literal["grey"] | None:
    """A channel number or ``grey``, None where nothing was given."""
    if text is None or text == "grey":
        return "grey" if text else None
    if not text.isdigit():
        raise BadInput("--channel", repr(text), "a number from 0, or grey")
    return int(text)


def parse_memory(text: str | None) -> int | None:
    """A size in bytes, None where nothing was given.

    >>> parse_memory("4GiB"), parse_memory("500 MB")
    (4294967296, 500000000)
    """
    if text is None:
        return None
    match = _MEMORY.match(text)
    if match is None:
        raise BadInput("--memory", repr(text), "a size such as 4GiB or 500MB")
    number, prefix, binary = match.groups()
    size = int(float(number) * (1024 if binary else 1000) ** _POWERS[prefix.lower()])
    if size <= 0:
        raise BadInput("--memory", repr(text), "more than nothing")
    return size
