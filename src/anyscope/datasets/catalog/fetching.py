"""Fetching the files of a dataset: resumed where they stopped, bounded, checked, each whole or not there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from anyscope.datasets.catalog.counting import counted_bytes
from anyscope.datasets.catalog.entry import SourceFile
from anyscope.errors import BadInput, EnvironmentFault, explain_os_errors

if TYPE_CHECKING:
    from requests import Response

CONNECT_S, SILENCE_S = 20.0, 60.0
_CHUNK = 2**18
_TRIES = 3
_REMEDY = "try again with --resume, fetch it by hand and give it with --from, or name another server with --mirror"


def address(file: SourceFile, mirror: str | None) -> str | None:
    """Where a file is fetched from; None where no address is known.

    Args:
        file: What is wanted.
        mirror: A folder on another server that has the files under the same names.
    """
    if mirror is None:
        return file.url
    if not mirror.lower().startswith(("http://", "https://")):
        raise BadInput("--mirror", repr(mirror), "an address that starts with http:// or https://")
    return f"{mirror.rstrip('/')}/{quote(file.name)}"


def fetch(file: SourceFile, url: str, folder: Path) -> Path:
    """Fetch a file into a folder, unless it is there whole.

    What an interrupted call has fetched stays as ``.NAME.part`` and is continued where the server can. The checksum is
    compared before the file gets its name.

    Args:
        file: Its name, checksum and limit.
        url: Where it is.
        folder: Where it goes.

    Raises:
        EnvironmentFault: The server cannot be reached, has no such file, or sends something else.
    """
    import pooch

    pooch.get_logger().setLevel("ERROR")
    with explain_os_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with explain_os_errors(folder / file.name):
            found = pooch.retrieve(
                url, file.checksum, file.name, folder, downloader=_Resuming(file, folder / f".{file.name}.part")
            )
    except ValueError as error:
        if file.checksum is None:
            raise
        found_hash = str(error).rpartition("got ")[2].split(".")[0].strip("'\" ")
        raise EnvironmentFault(
            url,
            f"the checksum of {file.name} is {found_hash}",
            file.checksum,
            "what is published has changed or was damaged on its way: fetch it again, look at it and give it with "
            "--from, or name another server with --mirror",
        ) from None
    return Path(found)


@dataclass(frozen=True)
class _Resuming:
    """A downloader in the sense of pooch that continues a partial file by an HTTP range."""

    file: SourceFile
    part: Path

    def __call__(self, url: str, output_file: str, pooch: Any) -> None:  # noqa: ARG002
        import requests

        failure: Exception | None = None
        for _ in range(_TRIES):
            before = self._have()
            try:
                self._continue(url)
                self.part.replace(output_file)
                self._note().unlink(missing_ok=True)
                return
            except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
                failure = error
                if self._have() == before:  # nothing came: a dead server, not a shaky line
                    break
            except requests.RequestException as error:
                raise EnvironmentFault(url, f"is no address that can be fetched ({error})", remedy=_REMEDY) from None
        raise EnvironmentFault(url, f"cannot be reached ({_reason(failure)})", remedy=_REMEDY) from None

    def _have(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _note(self) -> Path:
        return self.part.with_name(self.part.name + ".json")

    def _continue(self, url: str) -> None:
        import requests

        have, mark = self._have(), self._mark(url)
        headers = {"Accept-Encoding": "identity"}
        if have and mark:
            headers |= {"Range": f"bytes={have}-", "If-Range": mark}
        with requests.get(url, stream=True, timeout=(CONNECT_S, SILENCE_S), headers=headers) as response:
            if response.status_code == 416:  # it has all there is, or the file has shrunk: begin anew
                self.part.unlink(missing_ok=True)
                raise requests.ConnectionError("the partial file does not fit to the server's; it begins anew")
            resumed = response.status_code == 206 and have > 0
            total = self._check(url, response, have if resumed else 0)
            self._remember(url, response)
            self._stream(url, response, have if resumed else 0, total)

    def _check(self, url: str, response: Response, have: int) -> int | None:
        """Refuse what is not the file; returns the size of the whole file where it is announced."""
        if response.status_code not in (200, 206):
            raise EnvironmentFault(
                url, f"the server answers {response.status_code} {response.reason}", self.file.name, _REMEDY
            )
        kind = response.headers.get("Content-Type", "").partition(";")[0]
        if kind == "text/html" and not self.file.name.endswith((".html", ".htm")):
            raise EnvironmentFault(url, "the server sends a web page", self.file.name, _REMEDY)
        length = response.headers.get("Content-Length", "")
        total = have + int(length) if length.isdigit() else None
        if total is not None and total > self.file.download_limit_bytes:
            raise self._too_large(url, total)
        return total

    def _stream(self, url: str, response: Response, have: int, total: int | None) -> None:
        import requests

        done, announced = have, total or self.file.size_bytes or 0
        with (
            open(self.part, "ab" if have else "wb") as out,
            counted_bytes(f"fetch {self.file.name}", announced, have) as advance,
        ):
            for chunk in response.iter_content(_CHUNK):
                out.write(chunk)
                done += len(chunk)
                if done > self.file.download_limit_bytes:
                    raise self._too_large(url, done)
                advance(len(chunk))
        if total is not None and done < total:
            raise requests.ConnectionError(f"the connection ended after {done} of {total} bytes")

    def _too_large(self, url: str, size: int) -> EnvironmentFault:
        self.part.unlink(missing_ok=True)
        limit = self.file.download_limit_bytes
        return EnvironmentFault(url, f"has {size / 1e6:.0f} MB or more", f"at most {limit / 1e6:.0f} MB", _REMEDY)

    def _remember(self, url: str, response: Response) -> None:
        """Keep what identifies this version of the file, so that only the same one is continued."""
        mark = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
        self._note().write_text(json.dumps({"url": url, "mark": mark}), encoding="utf-8")

    def _mark(self, url: str) -> str:
        try:
            note = json.loads(self._note().read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return ""
        # A weak tag says "alike", not "the same bytes".
        mark = note.get("mark", "") if note.get("url") == url else ""
        return "" if mark.startswith("W/") else mark


def _reason(error: Exception | None) -> str:
    """The innermost words of a chain of network errors, without addresses in memory."""
    reason: BaseException | None = error
    while reason is not None and (inner := reason.__cause__ or reason.__context__) is not None:
        reason = inner
    words = str(reason or error)
    return words.rpartition(": ")[2].strip("'\")") or type(error).__name__
