"""A server that stands in for the network, and archives of fakes."""

from __future__ import annotations

import hashlib
import threading
import zipfile
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.datasets.catalog.fakes import FAKES

from anyscope.datasets.catalog import CATALOG


@dataclass
class Served:
    """What the server has, how it behaves, and what was asked of it."""

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    tag: str | None = '"one"'
    ranges: bool = True
    announce: bool = True
    break_after: int | None = None
    requests: list[tuple[str, str | None]] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        served: Served = self.server.served
        name = self.path.lstrip("/").partition("?")[0]
        wanted = self.headers.get("Range")
        served.requests.append((name, wanted))
        if name not in served.files:
            self.send_error(404)
            return
        content, first = served.files[name], 0
        if wanted and served.ranges and self.headers.get("If-Range") == served.tag:
            first = int(wanted.removeprefix("bytes=").rstrip("-"))
            if first >= len(content):
                self.send_error(416)
                return
            self.send_response(206)
        else:
            self.send_response(200)
        rest = content[first:]
        self.send_header("Content-Type", served.types.get(name, "application/zip"))
        if served.tag:
            self.send_header("ETag", served.tag)
        if served.announce:
            self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        if served.break_after is not None:
            self.wfile.write(rest[: served.break_after])
            self.wfile.flush()
            self.close_connection = True
            self.connection.close()
            return
        self.wfile.write(rest)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    """A local HTTP server with ranges."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    http.handle_error = lambda *arguments: None
    http.daemon_threads = True
    http.served = Served(f"http://127.0.0.1:{http.server_address[1]}")
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield http.served
    http.shutdown()
    http.server_close()
    thread.join()


def zipped(folder: Path, target: Path) -> None:
    """All files of a folder as an archive, with paths relative to it."""
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder))


@pytest.fixture
def offer(server, tmp_path):
    """Publish the fake of a dataset on the server: the entry with the server's addresses and true checksums."""

    def offer(name, checksums=True):
        root = tmp_path / "origin"
        expected = FAKES[name](root)
        entry = CATALOG[name]
        files = []
        for file in entry.files:
            path = root / file.name
            if file.folder is not None:
                path = tmp_path / f"packed-{file.name}"
                zipped(root / file.folder, path)
            server.files[file.name] = path.read_bytes()
            digest = hashlib.sha256(server.files[file.name]).hexdigest()
            files.append(
                replace(
                    file, url=f"{server.url}/{file.name}?download=1", checksum=f"sha256:{digest}" * checksums or None
                )
            )
        return replace(entry, files=tuple(files)), expected

    return offer
