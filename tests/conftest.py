"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

# Time is no property: a machine that is busy with something else must not fail a test.
hypothesis.settings.register_profile("anyscope", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("anyscope")

REAL_DATA = Path(os.environ.get("ANYSCOPE_TEST_DATA", Path(__file__).parents[1] / ".." / "shared" / "data")).resolve()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real images, which is not part of the repository."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"real images are not at {REAL_DATA}; set ANYSCOPE_TEST_DATA to their folder")
    return REAL_DATA
