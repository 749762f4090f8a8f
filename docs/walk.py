"""Walk through a page: run its commands and write what they print into it.

``python docs/walk.py docs/walks/nuclei.md DATA FOLDER`` runs every line after ``$`` of the page's ``console`` blocks
with bash, in the order of the page, in the folder; ``$DATA`` is where the datasets are. Standard output replaces what
stands below the command. A walk ends at the first command that fails; one that is meant to fail says so with
``|| echo ...``.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

_BLOCK = re.compile(r"(?<=^```console\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"^\$ (?:.*\\\n)*.*\n", re.MULTILINE)


def walk(page: str, data: Path, folder: Path) -> str:
    """The text of a page with the outputs of its commands.

    Args:
        page: Text of the page.
        data: Folder of the datasets.
        folder: Empty folder to run in.

    Raises:
        RuntimeError: A command failed.
    """
    programs = Path(sys.executable).parent
    environment = os.environ | {"DATA": str(data), "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}

    def outcome(command: str) -> str:
        done = subprocess.run(
            ["bash", "-c", command.removeprefix("$ ")], cwd=folder, env=environment, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"{command}ended with {done.returncode}: {done.stderr.strip()[-500:]}")
        return command + done.stdout.replace(str(data), "$DATA")

    return _BLOCK.sub(lambda block: "".join(outcome(each) for each in _COMMAND.findall(block.group())), page)


if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(walk(page.read_text(), Path(sys.argv[2]).resolve(), Path(sys.argv[3]).resolve()))
