"""Several processes that train one network together, as ``torchrun`` starts them.

All of them do the whole run, with the same numbers; what they share is the work of a batch (accelerate splits it and
averages gradients). The first writes the run folder and speaks. The others have a scratch folder, a copy of the run as
it stood at the start, which goes when they end: so a run is written by one process, resumed by all, and the code that
trains knows nothing of it.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

_PATIENCE = timedelta(hours=6)
"""How long one process waits for another that judges, or writes."""


def count() -> int:
    """How many processes train together; 1 outside of torchrun."""
    return max(1, int(os.environ.get("WORLD_SIZE", "1")))


def rank() -> int:
    """The number of this one, from 0."""
    return int(os.environ.get("RANK", "0")) if count() > 1 else 0


def join(device: str) -> None:
    """Meet the others. Does nothing where there are none.

    Args:
        device: Where networks work; each process on a machine has a GPU of its own.
    """
    if count() == 1:
        return
    import torch
    from torch import distributed

    if device.startswith("cuda"):
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo", timeout=_PATIENCE)
        atexit.register(distributed.destroy_process_group)


def share(folder: Path, make: Callable[[], None]) -> Path:
    """Let the first process make a folder, and give every other one a copy, removed when it ends.

    Returns:
        The folder of this process.
    """
    if count() == 1:
        make()
        return folder
    from torch import distributed

    if rank() == 0:
        make()
        distributed.barrier()  # it is there
        distributed.barrier()  # and copied, so that it may change
        return folder
    scratch = Path(tempfile.mkdtemp(prefix="anyscope-process-"))
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    distributed.barrier()
    shutil.copytree(folder, scratch / folder.name)
    distributed.barrier()
    return scratch / folder.name
