"""Files as the SAM projects publish them, small or without data, with random values."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from anyscope.models.nets.sam_encoder import PLAIN, TRAINED_PX


def official(px: int = TRAINED_PX, name: str = "samvit_nano", seed: int = 0) -> Any:
    """The image encoder of the package segment-anything in the size of ``name``, for images of ``px`` pixels."""
    modeling = pytest.importorskip(
        "segment_anything.modeling", reason="pip install --no-deps segment-anything: SAM's own code is the oracle"
    )
    size = PLAIN[name]
    encoder = modeling.ImageEncoderViT(
        img_size=px,
        depth=size.depth,
        embed_dim=size.channels,
        num_heads=size.heads,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        global_attn_indexes=size.looking,
        window_size=size.window,
    )
    if any(parameter.is_meta for parameter in encoder.parameters()):
        return encoder
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            scale = name.endswith("weight") and parameter.ndim == 1  # of a layer norm
            parameter.normal_(float(scale), 5.0 if name == "pos_embed" else 0.1, generator=random)
    return encoder.eval()


def for_size(encoder: Any, height: int, width: int) -> Any:
    """An official encoder for another image: absolute positions resampled, relative ones are by its own code."""
    positions = encoder.pos_embed.detach().permute(0, 3, 1, 2)
    resized = nn.functional.interpolate(
        positions, (height // 16, width // 16), mode="bicubic", antialias=True, align_corners=False
    )
    encoder.pos_embed = nn.Parameter(resized.permute(0, 2, 3, 1))
    return encoder


def file_of(encoder: Any, seed: int = 1) -> dict[str, torch.Tensor]:
    """The state_dict of all of SAM with this image encoder."""
    modeling = pytest.importorskip("segment_anything.modeling", reason="needs segment-anything")
    prompts = modeling.PromptEncoder(
        embed_dim=256, image_embedding_size=(64, 64), input_image_size=(1024, 1024), mask_in_chans=16
    )
    decoder = modeling.MaskDecoder(
        num_multimask_outputs=3,
        transformer=modeling.TwoWayTransformer(depth=2, embedding_dim=256, mlp_dim=2048, num_heads=8),
        transformer_dim=256,
        iou_head_depth=3,
        iou_head_hidden_dim=256,
    )
    return dict(modeling.Sam(encoder, prompts, decoder).state_dict())
