"""Named entries that the command line lists and the tests walk through.

A registry is only used where plugins are truly independent of each other: readers, models, decoders, metrics'
protocols, specimens and, above them, corruptions, attacks and adaptation methods. A new entry is one class or
function in one file; the tests that are parametrised over the registry then cover it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from anyscope.errors import unknown_name

Entry = TypeVar("Entry")


class Registry(Generic[Entry]):
    """A mapping from names to entries in the order of registration.

    Args:
        noun: What an entry is called in messages, for example ``"model"``.

    >>> shapes: Registry[int] = Registry("shape")
    >>> shapes.add("square", 4)
    4
    >>> shapes["square"], list(shapes)
    (4, ['square'])
    """

    def __init__(self, noun: str) -> None:
        self.noun = noun
        self._entries: dict[str, Entry] = {}

    def add(self, name: str, entry: Entry) -> Entry:
        """Register ``entry`` and return it. A name is given once."""
        if name in self._entries:
            raise ValueError(f"{self.noun} {name!r} is registered twice")
        self._entries[name] = entry
        return entry

    def register(self, name: str) -> Callable[[Entry], Entry]:
        """Decorator form of :meth:`add`."""
        return lambda entry: self.add(name, entry)

    def __getitem__(self, name: str) -> Entry:
        """The entry called ``name``; a :class:`~anyscope.errors.BadInput` with the valid names otherwise."""
        try:
            return self._entries[name]
        except KeyError:
            raise unknown_name(self.noun, name, self._entries) from None

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def items(self) -> list[tuple[str, Entry]]:
        """Pairs of name and entry, in the order of registration."""
        return list(self._entries.items())
