"""The surface of the two packages."""

import subprocess
import sys

import pytest

import anyscope.inference
import anyscope.instances


@pytest.mark.parametrize("package", [anyscope.inference, anyscope.instances])
def test_every_exported_name_exists(package):
    assert all(getattr(package, name) is not None for name in package.__all__)
    with pytest.raises(AttributeError):
        package.nothing  # noqa: B018


def test_importing_is_cheap():
    code = "import sys, anyscope.inference, anyscope.instances; print([m for m in sys.modules if m in sys.argv[1:]])"
    heavy = ["torch", "scipy", "skimage", "pyarrow", "cc3d", "edt", "bioimage_cpp"]
    done = subprocess.run([sys.executable, "-c", code, *heavy], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
