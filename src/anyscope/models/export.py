"""A segmenter in the file of another runtime: ONNX, TorchScript, OpenVINO.

What is exported is everything from images [B, C, H, W] in 0..1 to logits [B, K, H, W]: grey levels, translator,
normalisation and network. Extending images to a multiple of the stride is not part of it, since sizes would be frozen
in the file.

ONNX is written by torch's exporter that traces: the newer one took 20 to 60 s for networks of the zoo where this one
took 0.3 to 8 s, and kept no more of them free in their size (measured with torch 2.15 for 13 networks).
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from anyscope.errors import BadInput
from anyscope.models.runtimes import OnnxRuntime, OpenVinoRuntime, require
from anyscope.models.segmenter import Segmenter

FORMATS = {"onnx": ".onnx", "torchscript": ".pt", "openvino": ".xml"}
"""Suffix of the file by the name of the format."""

TOLERANCE = 1e-4
"""Largest difference of two runtimes, relative to the largest logit."""

_OPSET = 18
_Run = Callable[[torch.Tensor], torch.Tensor]


class Agreement(NamedTuple):
    """How an exported network compares with ours.

    Args:
        largest: Largest absolute difference of a logit, over the largest logit of the image.
        shapes: Shapes (B, H, W) of the random images that were tried.
    """

    largest: float
    shapes: tuple[tuple[int, int, int], ...]


class _Whole(nn.Module):
    """Images whose sizes fit to logits."""

    def __init__(self, segmenter: Segmenter) -> None:
        super().__init__()
        self.segmenter = segmenter

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        segmenter = self.segmenter
        logits: torch.Tensor = segmenter.net((segmenter.transform_input(images) - segmenter.mean) / segmenter.std)
        return logits


def export_segmenter(segmenter: Segmenter, to: str, path: Path, size: int | None = None) -> Agreement:
    """Write a segmenter, with everything from images in 0..1 to logits, into a file of another runtime.

    Arguments and errors as for :func:`export_network`.
    """
    return export_network(segmenter, _Whole(segmenter), to, path, size)


def export_network(segmenter: Segmenter, part: nn.Module, to: str, path: Path, size: int | None = None) -> Agreement:
    """Write a segmenter's network into a file of another runtime, and compare the two on random images.

    Args:
        segmenter: In evaluation mode, on the CPU.
        part: What is written: its network, or more of it; images [B, C, H, W] in, logits out.
        to: A name of :data:`FORMATS`.
        path: The file to write; OpenVINO puts its weights beside it, into a ``.bin``.
        size: The only height and width that the file shall take; None for any.

    Raises:
        BadInput: The network cannot be written in this format, or what was written computes something else; then the
            file is not of use.
        EnvironmentFault: The package for the format is not installed.
    """
    shapes = check_shapes(segmenter, size)
    batch, height, width = shapes[0]
    example = torch.zeros(batch, segmenter.spec.in_channels, height, width)
    whole = part.eval()
    with _quiet(), torch.no_grad():
        try:
            run = _WRITERS[to](whole, example, path, size is not None)
            found = _compare(whole, run, segmenter.spec.in_channels, shapes)
        except BadInput:
            raise
        except Exception as error:  # exporters and runtimes have a hundred ways to say that they cannot
            reason = " ".join(str(error).split())[:160]
            remedy = "--to torchscript keeps most networks" if to != "torchscript" else ""
            remedy = remedy if size is not None else f"{remedy}; try --size, for images of one size".strip("; ")
            name = segmenter.spec.model
            raise BadInput(f"model {name!r}", f"cannot be exported to {to} ({reason})", "", remedy) from None
    if not found.largest <= TOLERANCE:
        raise BadInput(
            f"model {segmenter.spec.model!r}", f"computes something else as {to}: difference {found.largest:.2g}",
            f"at most {TOLERANCE:g} of the largest logit", "" if size else "try --size, for images of one size",
        )  # fmt: skip
    return found


def check_shapes(segmenter: Segmenter, size: int | None) -> tuple[tuple[int, int, int], ...]:
    """Shapes (B, H, W) on which runtimes are compared: several sizes, batches, not square."""
    if size is not None:
        if size % segmenter.stride or size < segmenter.smallest:
            raise BadInput("--size", str(size), f"a multiple of {segmenter.stride}, at least {segmenter.smallest}")
        return ((1, size, size), (2, size, size))
    stride = segmenter.stride
    side = -(-max(64, segmenter.smallest) // stride) * stride
    return ((2, side, side + stride), (1, side, side), (1, side + 3 * stride, side + stride))


def _compare(ours: nn.Module, theirs: _Run, channels: int, shapes: tuple[tuple[int, int, int], ...]) -> Agreement:
    random = torch.Generator().manual_seed(0)
    largest = 0.0
    for batch, height, width in shapes:
        images = torch.rand((batch, channels, height, width), generator=random)
        expected, found = ours(images), theirs(images)
        if found.shape != expected.shape:
            raise BadInput("the exported network", f"output {list(found.shape)}", f"{list(expected.shape)}")
        scale = max(float(expected.abs().max()), 1e-12)
        # a NaN must not look like agreement
        largest = float(np.maximum(largest, float((found - expected).abs().max()) / scale))
    return Agreement(largest, shapes)


def _write_onnx(whole: nn.Module, example: torch.Tensor, path: Path, fixed: bool) -> _Run:
    require("onnx", "onnx")
    write_onnx(whole, example, path, fixed=fixed)
    return _running(OnnxRuntime(path, torch.get_num_threads()))


def write_onnx(whole: nn.Module, example: torch.Tensor, path: Path, *, fixed: bool) -> None:
    """Trace a network into an ONNX file; the batch is free, and height and width unless ``fixed``."""
    free = {0: "batch"} if fixed else {0: "batch", 2: "y", 3: "x"}
    torch.onnx.export(
        whole, (example,), str(path), dynamo=False, opset_version=_OPSET, input_names=["image"],
        output_names=["logits"], dynamic_axes={"image": free, "logits": free},
    )  # fmt: skip


def _write_torchscript(whole: nn.Module, example: torch.Tensor, path: Path, fixed: bool) -> _Run:
    del fixed  # a trace keeps sizes free as far as the network does
    traced = torch.jit.trace(whole, (example,), check_trace=False)  # type: ignore[no-untyped-call]
    traced.save(str(path))
    loaded: _Run = torch.jit.load(str(path))  # type: ignore[no-untyped-call]
    return loaded


def _write_openvino(whole: nn.Module, example: torch.Tensor, path: Path, fixed: bool) -> _Run:
    require("openvino", "openvino")
    require("onnx", "openvino")
    import openvino

    between = path.with_suffix(".onnx")
    write_onnx(whole, example, between, fixed=fixed)
    model = openvino.Core().read_model(str(between))  # convert_model would report its use over the network
    openvino.save_model(model, str(path), compress_to_fp16=False)
    between.unlink()
    return _running(OpenVinoRuntime(path, torch.get_num_threads()))


def _running(runtime: OnnxRuntime | OpenVinoRuntime) -> _Run:
    return lambda images: torch.from_numpy(runtime(images.numpy()))


_WRITERS = {"onnx": _write_onnx, "torchscript": _write_torchscript, "openvino": _write_openvino}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Exporters announce their end, and print whole graphs where they fail; errors are raised all the same."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    sys.stdout.flush()
    streams = [(own, os.dup(own)) for own in (1, 2)]  # the graphs come from C++, past sys.stdout
    try:
        with open(os.devnull, "wb") as nowhere, warnings.catch_warnings():
            for own, _ in streams:
                os.dup2(nowhere.fileno(), own)
            warnings.simplefilter("ignore")
            yield
    finally:
        for own, kept in streams:
            os.dup2(kept, own)
            os.close(kept)
        logging.disable(before)
