"""Low-rank adaptation (LoRA): a transformer learns through small matrices beside its attention.

Source: Hu et al., LoRA, ICLR 2022, arXiv 2106.09685: W x becomes W x + B A x, with A random and B zero, so that
training starts where the frozen weights are. As in their experiments, queries and values are adapted, keys are not.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import cast

import torch
from torch import nn

ADAPTERS = ("query_down", "query_up", "value_down", "value_up")
"""Names of the matrices beside ``weight`` and ``bias`` of a projection."""
_KEY = re.compile(rf"(?P<projection>(?:.*\.)?)(?P<part>{'|'.join(ADAPTERS)})")


class AdaptedProjection(nn.Linear):
    """A projection to queries, keys and values, whose queries and values have low-rank adapters.

    ``weight`` and ``bias`` keep the names that they have without adapters. Training decides what learns.

    Args:
        projection: The layer whose weights are taken over, from C channels to 3 C, ordered query, key, value.
        rank: Rank of the adapters.
    """

    def __init__(self, projection: nn.Linear, rank: int) -> None:
        channels, out = projection.in_features, projection.out_features
        if out != 3 * channels:
            raise ValueError(f"a projection from {channels} to {out} channels holds no query, key and value")
        super().__init__(channels, out, bias=projection.bias is not None, device="meta")
        self.weight, self.bias = projection.weight, projection.bias
        for name in ("query", "value"):
            down = torch.empty(rank, channels)
            nn.init.kaiming_uniform_(down, a=math.sqrt(5))
            self.register_parameter(f"{name}_down", nn.Parameter(down))
            self.register_parameter(f"{name}_up", nn.Parameter(torch.zeros(channels, rank)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Queries, keys and values [..., 3 C] of ``x`` [..., C]."""
        query, key, value = super().forward(x).chunk(3, dim=-1)
        query = query + x @ self._matrix("query_down").T @ self._matrix("query_up").T
        value = value + x @ self._matrix("value_down").T @ self._matrix("value_up").T
        return torch.cat([query, key, value], dim=-1)

    def _matrix(self, name: str) -> torch.Tensor:
        return cast(torch.Tensor, getattr(self, name))


def adapt_attention(blocks: Iterable[nn.Module], rank: int) -> None:
    """Give the projection ``attn.qkv`` of every block adapters of this rank."""
    for block in blocks:
        attention = cast(nn.Module, block.attn)
        attention.qkv = AdaptedProjection(cast(nn.Linear, attention.qkv), rank)


def is_adapter(name: str) -> bool:
    """Whether a tensor of this name is an adapter of a projection.

    >>> is_adapter("net.encoder.blocks.0.attn.qkv.query_up"), is_adapter("net.encoder.blocks.0.attn.qkv.weight")
    (True, False)
    """
    return _KEY.fullmatch(name) is not None


def has_adapters(names: Iterable[str]) -> bool:
    """Whether the adapters of a projection are among tensors of these names."""
    return any(is_adapter(name) for name in names)


def merge_adapters(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors of a network with adapters as those of the network without: W + B A in the place of W.

    Args:
        state: Tensors by name; each projection has all four adapters or none.
    """
    merged = {name: tensor for name, tensor in state.items() if not is_adapter(name)}
    for name in state:
        found = _KEY.fullmatch(name)
        if found is None or found["part"] != ADAPTERS[0]:
            continue
        prefix = found["projection"]
        of_query = state[f"{prefix}query_up"] @ state[f"{prefix}query_down"]
        of_value = state[f"{prefix}value_up"] @ state[f"{prefix}value_down"]
        merged[f"{prefix}weight"] = state[f"{prefix}weight"] + torch.cat(
            [of_query, torch.zeros_like(of_query), of_value]
        )
    return merged
