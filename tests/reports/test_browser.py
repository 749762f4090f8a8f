"""The page in a real browser: no console message, no horizontal scrolling, and its few interactions work."""

from __future__ import annotations

import json
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--v=0",
)

# Headless Chromium has no window narrower than 500 px: a frame gives the page the width of a phone.
FRAME = """<!doctype html><meta charset="utf-8"><body style="margin:0">
<iframe id="page" style="border:0;width:%dpx;height:800px"></iframe><pre id="out"></pre>
<script type="application/json" id="source">%s</script>
<script>
const frame = document.getElementById("page");
frame.addEventListener("load", () => {
  const inner = frame.contentDocument;
  for (const details of inner.querySelectorAll("details")) details.open = true;
  const root = inner.documentElement;
  const result = {title: inner.title, width: frame.contentWindow.innerWidth, scrollWidth: root.scrollWidth};
  const head = inner.querySelector("table[data-sortable] th:nth-child(2) button");
  const column = () => [...inner.querySelectorAll("table[data-sortable]")][0].tBodies[0].rows;
  head.click(); result.rising = [...column()].map((row) => row.cells[1].textContent.trim());
  head.click(); result.falling = [...column()].map((row) => row.cells[1].textContent.trim());
  const open = inner.querySelectorAll("button.open");
  result.pictures = open.length;
  open[0].click();
  const dialog = inner.querySelector("dialog");
  const key = (name) => dialog.dispatchEvent(new frame.contentWindow.KeyboardEvent("keydown", {key: name}));
  result.zoomed = dialog.open; result.first = dialog.querySelector("p").textContent;
  key("ArrowRight"); result.second = dialog.querySelector("p").textContent;
  dialog.querySelector("svg").dispatchEvent(new frame.contentWindow.MouseEvent("click", {bubbles: true}));
  result.third = dialog.querySelector("p").textContent;
  dialog.click(); result.closed = !dialog.open;
  result.visible = [...inner.querySelectorAll(".panels svg")].every((svg) => svg.getBoundingClientRect().height > 100);
  const stack = inner.querySelector("[data-stack]");
  const slider = stack.querySelector("input[type=range]"), stage = stack.querySelector(".stage");
  const seen = () => [...stack.querySelectorAll(".plane")].filter((plane) =>
    frame.contentWindow.getComputedStyle(plane).visibility === "visible").map((plane) => plane.dataset.z).join();
  const layers = () => [...stack.querySelectorAll(".plane.current .layer")].filter((layer) =>
    frame.contentWindow.getComputedStyle(layer).display !== "none").map((layer) => layer.className.baseVal).join();
  const wheel = () => stage.dispatchEvent(new frame.contentWindow.WheelEvent("wheel",
    {deltaY: 50, bubbles: true, cancelable: true}));
  result.stack = {slider: !slider.closest("label").hidden, first: seen(), layers: [layers()], width: stage.clientWidth};
  wheel(); result.stack.unselected = seen();
  stage.click(); result.stack.taken = !wheel(); result.stack.wheeled = seen();
  result.stack.said = slider.getAttribute("aria-valuetext"); result.stack.output = stack.querySelector("output").value;
  wheel(); result.stack.end = wheel(); result.stack.last = seen();
  slider.value = 0; slider.dispatchEvent(new frame.contentWindow.Event("input")); result.stack.slid = seen();
  for (const key of ["1", "2", "9"]) {
    slider.dispatchEvent(new frame.contentWindow.KeyboardEvent("keydown", {key, bubbles: true}));
    result.stack.layers.push(layers());
  }
  const filter = () => frame.contentWindow.getComputedStyle(stack.querySelector(".plane.current .view-1")).filter;
  result.stack.filters = [filter()];
  stack.querySelector("input[type=checkbox]").click(); result.stack.filters.push(filter());
  result.copies = inner.querySelectorAll("button.copy").length;
  document.getElementById("out").textContent = JSON.stringify(result);
});
frame.srcdoc = JSON.parse(document.getElementById("source").textContent);
</script>"""


PICTURES = 3 * 4 + 3 * 4
"""Three samples and three listed errors, with four views each."""


def browse(page: Path, profile: Path, *flags: str) -> tuple[str, list[str]]:
    """The document after its scripts ran, and the lines of the console."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed, so that pages cannot be opened")
    command = [CHROMIUM, *FLAGS, *flags, f"--user-data-dir={profile}", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def test_console_is_seen(tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text("<!doctype html><title>x</title><script>missing()</script>")
    assert any("missing is not defined" in line for line in browse(page, tmp_path / "profile")[1])


def test_opened_from_disk(html: str, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text(html, encoding="utf-8")
    document, console = browse(page, tmp_path / "profile")
    assert console == []
    assert "<title>unet on blobs" in document
    assert document.count('class="open"') == PICTURES


@pytest.mark.parametrize("width", [1280, 360])
def test_layout_and_interactions(html: str, tmp_path: Path, width: int) -> None:
    page = tmp_path / "frame.html"
    page.write_text(FRAME % (width, json.dumps(html).replace("<", "\\u003c")), encoding="utf-8")
    document, console = browse(page, tmp_path / "profile", "--window-size=1400,900")
    assert console == []
    result = json.loads(unescape(document.partition('<pre id="out">')[2].partition("</pre>")[0]))
    assert result["title"].startswith("unet on blobs </title><script>")
    assert result["width"] == width
    assert result["scrollWidth"] <= width
    rising = [value for value in result["rising"] if value != "\N{EN DASH}"]
    assert rising == sorted(rising)
    assert len(rising) == 12
    assert result["falling"] == [*reversed(rising), "\N{EN DASH}"]
    assert result["rising"][-1] == "\N{EN DASH}"
    assert result["pictures"] == PICTURES
    assert result["visible"]
    assert result["zoomed"]
    assert result["closed"]
    assert "· Image ·" in result["first"]
    assert "· Reference objects ·" in result["second"]
    assert "· Predicted objects ·" in result["third"]
    stack = result["stack"]
    assert stack["slider"]
    assert (stack["first"], stack["unselected"], stack["wheeled"], stack["last"], stack["slid"]) == tuple("22340")
    assert (stack["taken"], stack["end"]) == (True, True)  # beyond the end the page scrolls
    assert (stack["said"], stack["output"]) == ("plane 3", "z 3")
    assert stack["layers"] == ["layer view-3", "", "layer view-1", "layer view-1"]
    assert stack["filters"][0] == "none"
    assert stack["filters"][1].startswith('url("#stack-')
    assert 250 < stack["width"] <= width
    assert result["copies"] == 1
