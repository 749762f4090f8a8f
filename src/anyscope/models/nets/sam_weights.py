"""Published weights of SAM, SAM 2 and MobileSAM for the encoders of ``sam_encoder``.

Names in the files: those of the projects' code. timm's modules differ from them in the names of layers only, as its
filters for these files say (timm, ``vision_transformer_sam.py`` and ``hieradet_sam2.py``); MobileSAM's TinyViT counts
the layers that halve the size to the stage before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from anyscope.errors import BadInput, Subject
from anyscope.models.entry import Adopted
from anyscope.models.hub import reaching_the_hub
from anyscope.models.nets.low_rank import ADAPTERS
from anyscope.models.nets.sam_encoder import HIERA, MOBILE, PLAIN, HieraEncoder, MobileEncoder, PlainEncoder, SamEncoder

MEAN, STD = (123.675 / 255, 116.28 / 255, 103.53 / 255), (58.395 / 255, 57.12 / 255, 57.375 / 255)
"""Statistics of red, green and blue that SAM and its relatives were trained with, for images in 0..1."""
PUBLISHED = {
    "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912": "SAM",  # sam_vit_b_01ec64.pth
    "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622": "SAM",  # sam_vit_l_0b3195.pth
    "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e": "SAM",  # sam_vit_h_4b8939.pth
    "6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f": "MobileSAM",  # mobile_sam.pt
    "65b50056e05bcb13694174f51bb6da89c894b57b75ccdf0ba6352c597c5d1125": "SAM 2",  # sam2_hiera_tiny.pt
    "95949964d4e548409021d47b22712d5f1abf2564cc0c3c765ba599a24ac7dce3": "SAM 2",  # sam2_hiera_small.pt
    "d0bb7f236400a49669ffdd1be617959a8b1d1065081789d7bbff88eded3a8071": "SAM 2",  # sam2_hiera_base_plus.pt
    "7442e4e9b732a508f80e141e7c2913437a3610ee0c77381a66658c3a445df87b": "SAM 2",  # sam2_hiera_large.pt
    "7402e0d864fa82708a20fbd15bc84245c2f26dff0eb43a4b5b93452deb34be69": "SAM 2.1",  # sam2.1_hiera_tiny.pt
    "6d1aa6f30de5c92224f8172114de081d104bbd23dd9dc5c58996f0cad5dc4d38": "SAM 2.1",  # sam2.1_hiera_small.pt
    "a2345aede8715ab1d5d31b4a509fb160c5a4af1970f199d9054ccfb746c004c5": "SAM 2.1",  # sam2.1_hiera_base_plus.pt
    "2647878d5dfa5098f2f8649825738a9345572bae2d4350a2468587ece47dd318": "SAM 2.1",  # sam2.1_hiera_large.pt
}
"""SHA-256 of the files that the projects publish."""


@dataclass(frozen=True)
class _Form:
    """A format of files.

    Args:
        name: Whose it is.
        sign: A tensor that every file of this format has.
        translate: Name in :class:`SamEncoder` of a tensor of the file; None for those of other parts.
        kind: What such files are for.
        encoders: Names of those that are published.
    """

    name: str
    sign: str
    translate: Callable[[str], str | None]
    kind: type[SamEncoder]
    encoders: tuple[str, ...]


def _of_sam(key: str) -> str | None:
    if not key.startswith("image_encoder."):
        return None
    return key.removeprefix("image_encoder.").replace(".mlp.lin", ".mlp.fc")


def _of_sam2(key: str) -> str | None:
    if not key.startswith("image_encoder.trunk."):
        return None
    key = key.removeprefix("image_encoder.").replace(".mlp.layers.0.", ".mlp.fc1.")
    return key.replace(".mlp.layers.1.", ".mlp.fc2.")


def _of_mobile_sam(key: str) -> str | None:
    if not key.startswith(("image_encoder.patch_embed.", "image_encoder.layers.")):
        return None
    key = key.removeprefix("image_encoder.").replace(".c.", ".conv.")
    key = key.replace("patch_embed.seq.0.", "patch_embed.conv1.").replace("patch_embed.seq.2.", "patch_embed.conv2.")
    found = re.fullmatch(r"layers\.(\d)\.(.*)", key)
    if found is not None:
        stage, rest = int(found[1]), found[2]
        key = f"stages.{stage + rest.startswith('downsample.')}.{rest}"
    return f"trunk.{key}"


_SAM = ("samvit_base_patch16", "samvit_large_patch16", "samvit_huge_patch16")
_FORMS = (
    _Form("SAM", "image_encoder.blocks.0.attn.qkv.weight", _of_sam, PlainEncoder, _SAM),
    _Form("SAM, as timm has it", "blocks.0.attn.rel_pos_h", lambda key: key, PlainEncoder, _SAM),
    _Form("SAM 2", "image_encoder.trunk.pos_embed_window", _of_sam2, HieraEncoder, HIERA),
    _Form("SAM 2, as timm has it", "pos_embed_window", lambda key: f"trunk.{key}", HieraEncoder, HIERA),
    _Form("MobileSAM", "image_encoder.layers.0.blocks.0.conv1.c.weight", _of_mobile_sam, MobileEncoder, (MOBILE,)),
)
_LEFT_OUT = re.compile(r"pos_embed|neck\..*|trunk\.head\..*|.*\.attention_bias_idxs")
"""Tensors of an encoder that arguments leave out, that are of a classifier, or that are no weights."""


def adopt(encoder: SamEncoder, channels: int, found: Mapping[str, torch.Tensor], subject: Subject) -> Adopted | None:
    """What of the tensors of a file an encoder takes over; see :class:`~anyscope.models.entry.Foreign`.

    The first convolution takes red, green and blue in the files. Here:

    - images of three channels: the same weights; several slices share them evenly, as if their mean were given;
    - all others: the sum over the colours, shared evenly by the channels, as if their mean were given in three colours.
      One channel then gives exactly what the image repeated in three colours gives. In plain transformers this includes
      that SAM normalises every colour on its own: the difference to the one normalisation of grey images is a factor
      and a constant, which go to the weights and the bias. The other encoders pad with zeros after normalisation, which
      a constant in the bias does not cross; there it is the image repeated after normalisation.

    Args:
        encoder: The encoder; names of tensors are those within it.
        channels: Channels of an image, without the slices beside it.
        found: The file's tensors by name.
        subject: The file.

    Raises:
        BadInput: The file is for another encoder, incomplete, or has tensors of other shapes.
    """
    state = {key.removeprefix("module."): tensor for key, tensor in found.items()}
    form = next((form for form in _FORMS if form.sign in state), None)
    if form is None:
        return None
    translated = {key: form.translate(key) for key in state}
    tensors = {name: state[key].float() for key, name in translated.items() if name is not None}
    _check_architecture(form, tensors, encoder, subject)
    wanted = {name: tensor for name, tensor in encoder.state_dict().items() if name.rpartition(".")[2] not in ADAPTERS}
    _adapt_colours(tensors, wanted, channels, isinstance(encoder, PlainEncoder), subject)
    _check_complete(tensors, wanted, encoder, subject)
    unused = tuple(key for key, name in translated.items() if name not in wanted)
    return Adopted({name: tensors[name] for name in wanted}, unused, MEAN, STD, form.name)


def fetch(name: str) -> tuple[Mapping[str, torch.Tensor], str]:
    """The published weights of the encoder called ``name`` from the hub of timm, and their origin in words.

    Raises:
        BadInput: There are none for this encoder.
        EnvironmentFault: They cannot be fetched.
    """
    import timm

    if not timm.models.is_model_pretrained(name):
        remedy = f"give a file with --init ({MOBILE}.pt for {MOBILE}), or take random weights"
        raise BadInput(f"encoder {name!r}", "has no weights of SAM on the hub", remedy=remedy)
    otherwise = "start from the published file with --init, or from your own unlabelled images with anyscope pretrain"
    with reaching_the_hub(f"SAM weights of encoder {name!r}", otherwise):
        source: Any = timm.create_model(name, pretrained=True, num_classes=0)
    return source.state_dict(), f"SAM, encoder {name} as on the hub of timm, random decoder"


def _check_architecture(
    form: _Form, tensors: Mapping[str, torch.Tensor], encoder: SamEncoder, subject: Subject
) -> None:
    """Refuse a file of another architecture, and say which it is."""
    if not isinstance(encoder, form.kind):
        raise BadInput(
            subject, f"holds weights of {form.name}", f"weights for the encoder {encoder.name}",
            f"choose an encoder of {', '.join(form.encoders)}",
        )  # fmt: skip
    first = tensors.get("patch_embed.proj.weight")
    if not isinstance(encoder, PlainEncoder) or first is None or first.ndim == 0:
        return  # what is missing is said later
    numbers = [int(each[1]) for each in (re.match(r"blocks\.(\d+)\.", name) for name in tensors) if each]
    depth, channels = max(numbers) + 1, len(first)
    size = encoder.size
    if (depth, channels) == (size.depth, size.channels):
        return
    fitting = {name: other for name, other in PLAIN.items() if (other.depth, other.channels) == (depth, channels)}
    title = next((f"{other.title}: " for other in fitting.values()), "")
    raise BadInput(
        subject,
        f"is {title}{depth} blocks of {channels} channels",
        f"{size.title}: {size.depth} blocks of {size.channels} channels, as the network is",
        "".join(f"encoder={name}" for name in fitting) or "choose another file",
    )


def _check_complete(
    tensors: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor], encoder: SamEncoder, subject: Subject
) -> None:
    """Every tensor of the encoder must be there, and nothing of the encoder may be left over that it should use."""
    problems = [f"lacks {name}" for name in wanted if name not in tensors]
    problems += [
        f"has {name} of shape {tuple(tensors[name].shape)}, not {tuple(wanted[name].shape)}"
        for name in wanted
        if name in tensors and tensors[name].shape != wanted[name].shape
    ]
    problems += [
        f"has {name}, which no encoder has" for name in tensors if name not in wanted and not _left_out(name, encoder)
    ]
    if problems:
        more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
        raise BadInput(subject, f"{problems[0]}{more}", "all tensors of the encoder", "download the file again")


def _left_out(name: str, encoder: SamEncoder) -> bool:
    block = re.match(r"blocks\.(\d+)\.", name)
    behind = block is not None and isinstance(encoder, PlainEncoder) and int(block[1]) >= len(encoder.blocks)
    return behind or _LEFT_OUT.fullmatch(name) is not None


def _adapt_colours(
    tensors: dict[str, torch.Tensor], wanted: Mapping[str, torch.Tensor], channels: int, plain: bool, subject: Subject
) -> None:
    """Bring the first convolution to the channels that the network has."""
    name = next(name for name in wanted if name.endswith(("patch_embed.proj.weight", "patch_embed.conv1.conv.weight")))
    if name not in tensors:
        return  # reported as missing
    weight = tensors[name]
    if weight.ndim != 4 or weight.shape[1] != len(MEAN):
        raise BadInput(subject, f"{name} is of shape {tuple(weight.shape)}", "a convolution of three colours")
    given = wanted[name].shape[1]
    if channels == len(MEAN):
        tensors[name] = weight.repeat(1, given // channels, 1, 1) * (channels / given)
        return
    bias = name.replace("weight", "bias")
    if plain and bias in tensors:
        mean, std = torch.tensor(MEAN, device=weight.device), torch.tensor(STD, device=weight.device)
        # the segmenter gives n = (g - M) / S of grey g; SAM takes (g - m) / s = n S / s + (M - m) / s of each colour
        tensors[bias] = tensors[bias] + weight.sum(dim=(2, 3)) @ ((mean.mean() - mean) / std)
        weight = weight * (std.mean() / std).view(1, -1, 1, 1)
    tensors[name] = weight.sum(dim=1, keepdim=True).expand(-1, given, -1, -1) / given
