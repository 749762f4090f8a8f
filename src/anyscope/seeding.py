"""Random generators derived from one seed and the name of what they are for.

There is no global random state: whoever needs randomness is passed a generator, or a seed from which it derives one
by name. A stream therefore depends on what it is for, never on how many numbers were drawn elsewhere before.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

Key = str | int


def derive_seed(seed: int, *keys: Key) -> int:
    """A 63-bit seed for the stream named by ``keys``, the same on every machine.

    >>> derive_seed(0, "patches", 3) == derive_seed(0, "patches", 3) != derive_seed(0, "patches", 4)
    True
    """
    text = "\x1f".join(f"{type(key).__name__}:{key}" for key in (seed, *keys))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def generator(seed: int, *keys: Key) -> np.random.Generator:
    """An independent NumPy generator for the stream named by ``keys``."""
    return np.random.Generator(np.random.PCG64(derive_seed(seed, *keys)))


def torch_generator(seed: int, *keys: Key, device: str = "cpu") -> torch.Generator:
    """An independent torch generator on ``device`` for the stream named by ``keys``."""
    import torch

    return torch.Generator(device=device).manual_seed(derive_seed(seed, *keys))
