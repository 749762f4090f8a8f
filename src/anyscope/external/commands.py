"""Programs as models: an image file in, a mask or label file out, without a shell."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyscope.contracts import Labels, Unit
from anyscope.errors import BadInput, EnvironmentFault
from anyscope.external.answers import checked_labels
from anyscope.external.description import CommandFile
from anyscope.external.functions import stacked
from anyscope.images import ReadOptions, open_image, open_labels, write_image

_KEPT = 64 * 1024
"""Bytes of the end of what a program complains that are kept."""


class CommandModel:
    """A program that is shown images, one file at a time.

    Args:
        description: What its user says of it.
        folder: Where it is started.
    """

    def __init__(self, description: CommandFile, folder: Path) -> None:
        self.description = description
        self.spec = description.spec
        self._folder = folder
        program = description.arguments(input=Path("input"), output=Path("output"), folder=folder)[0]
        place = folder / program if os.sep in program else None
        if place is None and shutil.which(program) is None:
            raise BadInput(f"command {program!r}", "no such program", "one on PATH, or the path of a file")
        if place is not None and not os.access(place, os.X_OK):
            raise BadInput(f"command {program!r}", "no such program" if not place.exists() else "cannot be executed")

    def __call__(self, image: Unit) -> Labels:
        """Labels (z, y, x) of an image (c, z, y, x) in 0..1.

        Raises:
            BadInput: The program failed, took too long, wrote nothing, or wrote what is no answer.
        """
        if self.description.axes == "zyx":
            return self._one(image)
        planes = [self._one(image[:, z : z + 1]) for z in range(image.shape[1])]
        return stacked(planes, objects=self.description.task == "instances")

    def _one(self, image: Unit) -> Labels:
        description = self.description
        with tempfile.TemporaryDirectory(prefix="anyscope-") as folder:
            shown = Path(folder) / f"image{description.format}"
            answer = Path(folder) / f"labels{description.output_format or description.format}"
            write_image(shown, pixels_of(image, description.dtype))
            self._run(description.arguments(input=shown, output=answer, folder=self._folder))
            subject = f"command {description.command[0]!r}"
            if not answer.is_file():
                raise BadInput(subject, f"wrote no {answer.name}", "a mask or label image at {output}")
            shape = (image.shape[1], image.shape[2], image.shape[3])
            options = ReadOptions("zyx") if shape[0] > 1 else None
            found = open_image(answer, options)
            probabilities = found.dtype.kind == "f" and description.task == "semantic" and description.classes == 2
            found = found if probabilities else open_labels(answer, options)
            if found.shape != (1, *shape):
                raise BadInput(subject, f"an answer of shape {found.shape[1:]}", f"{shape} (z, y, x), as the image")
            return checked_labels(found.read()[0], shape, description, subject)

    def _run(self, arguments: list[str]) -> None:
        """Run the program; it and what it has started are ended when its time is over."""
        subject, limit = f"command {self.description.command[0]!r}", self.description.timeout_s
        with tempfile.TemporaryFile() as complaints:
            try:
                process = subprocess.Popen(
                    arguments,
                    cwd=self._folder,
                    env={**os.environ, **self.description.environment},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=complaints,
                    start_new_session=True,
                )
            except OSError as error:
                raise EnvironmentFault(subject, f"cannot be started ({error.strerror})", remedy="check it") from None
            try:
                code = process.wait(limit)
            except subprocess.TimeoutExpired:
                raise BadInput(subject, f"took longer than {limit:g} s", remedy="raise timeout_s") from None
            finally:
                _end(process)
            if code:
                last = _last_line(complaints)
                how = f"exit code {code}" if code > 0 else f"ended by signal {-code}"
                raise BadInput(subject, f"failed with {how}: {last or 'it said nothing'}")


def pixels_of(image: Unit, dtype: str) -> NDArray[Any]:
    """An image in 0..1 as pixels of a type: floats as they are, integers over their whole range."""
    if dtype == "float32":
        return image
    kind = np.dtype(dtype)
    return np.rint(np.clip(image, 0, 1) * np.iinfo(kind).max).astype(kind)


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):  # it has ended already, with all that it started
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _last_line(complaints: Any) -> str:
    size = complaints.seek(0, os.SEEK_END)
    complaints.seek(max(0, size - _KEPT))
    lines = [line.strip() for line in complaints.read().decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1][:200] if lines else ""
