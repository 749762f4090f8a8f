"""The ledger of a long run: one row for each cell of work, in SQLite, one transaction for each batch of cells.

A cell is named by a key such as (model, condition, image) and holds its result as JSON, or the reason why it failed. A
killed run continues with the cells that are not there; scores are derived from the rows afterwards.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anyscope.errors import BadInput, EnvironmentFault

Key = tuple[str, ...]


@dataclass(frozen=True)
class Cell:
    """A finished cell.

    Args:
        key: Its name, one text for each part.
        result: Plain data; None where it failed.
        failure: Why it failed, in one line; None where it did not.
    """

    key: Key
    result: Any = None
    failure: str | None = None


class Ledger:
    """A file of cells. Use as a context manager; one process writes, others may read.

    Args:
        path: The file; made where it does not exist.
        parts: What the parts of a key are called, for example ``("model", "condition", "image")``.

    Raises:
        BadInput: The file is no ledger, or one with other keys.
        EnvironmentFault: It cannot be opened or written.
    """

    def __init__(self, path: Path, parts: Sequence[str]) -> None:
        if not parts or not all(part.isidentifier() for part in parts):
            raise ValueError(f"parts of a key are identifiers, not {parts}")
        self.path = path
        self.parts = tuple(parts)
        columns = ", ".join(f'"{part}" TEXT NOT NULL' for part in parts)
        self._names = ", ".join(f'"{part}"' for part in parts)
        with self._explained():
            self._file = sqlite3.connect(path, timeout=60)
            # Commits survive a kill of the process; a loss of power may undo the last ones, never tear one.
            self._file.execute("PRAGMA synchronous = NORMAL")
            self._file.execute(
                f"CREATE TABLE IF NOT EXISTS cells ({columns}, result TEXT, failure TEXT,"
                f" PRIMARY KEY ({self._names})) WITHOUT ROWID"
            )
            found = tuple(row[1] for row in self._file.execute("PRAGMA table_info(cells)"))
        if found != (*self.parts, "result", "failure"):
            self._file.close()
            raise BadInput(path, f"a ledger of {', '.join(found)}", f"one of {', '.join(self.parts)}")

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, cells: Iterable[Cell]) -> None:
        """Add cells in one transaction; a cell that is there already is replaced."""
        rows = [
            (*cell.key, None if cell.failure is not None else json.dumps(cell.result, sort_keys=True), cell.failure)
            for cell in cells
        ]
        marks = ", ".join("?" * (len(self.parts) + 2))
        with self._explained(), self._file:
            self._file.executemany(f"INSERT OR REPLACE INTO cells VALUES ({marks})", rows)

    def done(self) -> set[Key]:
        """Keys of the cells that have a result."""
        with self._explained():
            return set(self._file.execute(f"SELECT {self._names} FROM cells WHERE failure IS NULL"))

    def forget_failures(self) -> int:
        """Remove the cells that failed, so that they are tried again; how many there were."""
        with self._explained(), self._file:
            return self._file.execute("DELETE FROM cells WHERE failure IS NOT NULL").rowcount

    def cells(self) -> Iterator[Cell]:
        """All cells, in the order of their keys."""
        with self._explained():
            rows = self._file.execute(f"SELECT * FROM cells ORDER BY {self._names}").fetchall()
        for *key, result, failure in rows:
            yield Cell(tuple(key), None if result is None else json.loads(result), failure)

    def failures(self) -> list[Cell]:
        """The cells that failed."""
        with self._explained():
            rows = self._file.execute(
                f"SELECT {self._names}, failure FROM cells WHERE failure IS NOT NULL ORDER BY {self._names}"
            ).fetchall()
        return [Cell(tuple(key), None, failure) for *key, failure in rows]

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise EnvironmentFault(self.path, f"the ledger cannot be used ({error})", remedy="check the disk") from None
        except sqlite3.DatabaseError as error:
            if type(error) is not sqlite3.DatabaseError:
                raise  # a defect of the caller
            raise BadInput(self.path, f"is no ledger ({error})", "a ledger.sqlite written by anyscope") from None
