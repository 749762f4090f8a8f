"""The page of an assay."""

from __future__ import annotations

from pathlib import Path


def stress_report(folder: Path) -> Path:
    return folder / "report.html"
