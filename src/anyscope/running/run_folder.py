"""A run on disk: its settings, its environment, its records, and whether it is finished.

```
RUN/settings.yaml        what was asked for; a resumed run must ask for the same
RUN/environment.json     versions, processor, threads
RUN/metrics.jsonl        one record a line, appended
RUN/finished.json        written last
```
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from anyscope.errors import BadInput, Interrupted, explain_os_errors
from anyscope.running import processes
from anyscope.running.atomic import refuse_existing, remove, write_text
from anyscope.running.documents import dump_document, read_mapping

_PACKAGES = ("anyscope", "torch", "timm", "segmentation-models-pytorch", "accelerate", "numpy", "scikit-image")

Plain = Any
"""Data of mappings, lists, strings, numbers, booleans and None, as YAML and JSON hold it."""


class RunFolder:
    """A run folder that has been opened by :meth:`start` (to write) or :meth:`of` (to read)."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def of(cls, path: Path) -> RunFolder:
        """An existing run, to read from."""
        if not (path / "settings.yaml").is_file():
            found = "no such folder" if not path.exists() else "there is no settings.yaml in it"
            raise BadInput(path, found, "the folder of a run, as made by 'anyscope train --out'")
        return cls(path)

    @classmethod
    def start(cls, path: Path, settings: Mapping[str, Plain], *, resume: bool, force: bool) -> RunFolder:
        """Make the folder, or continue one.

        Of processes that train together the first does so, and the others get a scratch copy; see
        :mod:`anyscope.running.processes`.

        Args:
            path: The run folder.
            settings: Plain data that decides the result; ``resume`` is refused where it differs.
            resume: Continue what is there; start where there is nothing.
            force: Remove what is there and start anew.
        """
        return cls(processes.share(path, lambda: cls._make(path, settings, resume=resume, force=force)))

    @classmethod
    def _make(cls, path: Path, settings: Mapping[str, Plain], *, resume: bool, force: bool) -> None:
        run = cls(path)
        if force and not resume:
            if path.exists() and not (path / "settings.yaml").is_file() and any(path.iterdir()):
                raise BadInput(path, "exists and is not a run", remedy="--force only replaces runs; remove it by hand")
            remove(path)
        if resume and (path / "settings.yaml").is_file():
            run._refuse_other(settings)
            return
        if not resume:
            refuse_existing(path)
        with explain_os_errors(path):
            path.mkdir(parents=True, exist_ok=True)
        write_text(path / "environment.json", json.dumps(environment(), indent=2) + "\n")
        write_text(path / "settings.yaml", dump_document(settings))

    def _refuse_other(self, settings: Mapping[str, Plain]) -> None:
        before, now = flatten(self.settings()), flatten(settings)
        changed = (key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
        differing = sorted(changed, key=lambda key: (key.count("."), key))  # what was typed before what follows from it
        if differing:
            changes = ", ".join(f"{key} was {before.get(key)!r}, is {now.get(key)!r}" for key in differing[:6])
            raise BadInput(
                self.path,
                f"it was started with other settings: {changes}",
                remedy="resume with the same settings, or give another --out",
            )

    def settings(self) -> dict[str, Plain]:
        """What the run was asked for."""
        return read_mapping(self.path / "settings.yaml", "the settings of a run")

    def document(self, name: str) -> dict[str, Plain]:
        """A JSON document of the run, such as ``finished.json``; an empty one where it is not there (yet).

        Raises:
            BadInput: The file holds something else.
        """
        path = self.path / name
        if not path.is_file():
            return {}
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            raise BadInput(path, "is not JSON", "what a run has written", "run the verb again with --force") from None
        if not isinstance(content, dict):
            raise BadInput(path, f"a JSON {type(content).__name__}", "a JSON object")
        return content

    @property
    def finished(self) -> bool:
        """Whether the run came to its end."""
        return (self.path / "finished.json").is_file()

    def finish(self, summary: Mapping[str, Plain]) -> None:
        """Write the marker that says so, with a summary."""
        write_text(self.path / "finished.json", json.dumps(dict(summary), indent=2) + "\n")

    def records(self) -> list[dict[str, Plain]]:
        """The records of metrics.jsonl; a last line that was cut by a kill is left out."""
        path = self.path / "metrics.jsonl"
        if not path.is_file():
            return []
        found = []
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                found.append(json.loads(line))
            except json.JSONDecodeError:
                break
        return found

    def keep_records(self, count: int) -> None:
        """Forget all records after the first ``count``, those of work that is done again."""
        kept = self.records()[:count]
        write_text(self.path / "metrics.jsonl", "".join(json.dumps(record) + "\n" for record in kept))

    def record(self, values: Mapping[str, Plain]) -> None:
        """Append a record to metrics.jsonl."""
        path = self.path / "metrics.jsonl"
        with explain_os_errors(path), open(path, "a", encoding="utf-8") as handle:
            handle.write(json.dumps(dict(values)) + "\n")
            handle.flush()
            os.fsync(handle.fileno())

    @contextmanager
    def explain_interrupt(self) -> Iterator[None]:
        """Turn Ctrl-C inside the block into the one line that says how to go on."""
        try:
            yield
        except KeyboardInterrupt:
            raise Interrupted(self.path, "interrupted", remedy="continue with the same command and --resume") from None


def flatten(data: Mapping[str, Plain], prefix: str = "") -> dict[str, Plain]:
    """Nested mappings as one with dotted keys, lists and tuples alike.

    >>> flatten({"a": {"b": (1, 2)}, "c": 3})
    {'a.b': [1, 2], 'c': 3}
    """
    flat: dict[str, Plain] = {}
    for key, value in data.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = list(value) if isinstance(value, tuple) else value
    return flat


def environment() -> dict[str, Plain]:
    """Versions, processor and threads: what a number may depend on."""
    versions: dict[str, str | None] = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "packages": versions,
    }
