"""Other runtimes than torch for a network in a file: ONNX Runtime and OpenVINO, on the CPU.

They are optional parts: ``pip install 'anyscope[onnx]'`` and ``'anyscope[openvino]'``.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from anyscope.errors import BadInput, EnvironmentFault

Floats = NDArray[np.float32]


class Runtime(Protocol):
    """A network that runs: float32 [B, C, H, W] to float32 [B, K, H, W]."""

    def __call__(self, images: Floats) -> Floats:
        """The output of a batch."""


class OnnxRuntime:
    """A network in an ONNX file, run by ONNX Runtime.

    Args:
        path: The file.
        threads: How many threads compute.

    Raises:
        BadInput: The file is missing, is no ONNX network, or has several inputs.
        EnvironmentFault: ONNX Runtime is not installed.
    """

    def __init__(self, path: Path, threads: int) -> None:
        require("onnxruntime", "onnx")
        import onnxruntime

        _require_file(path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 4  # what goes wrong is raised; nothing is to be printed beside it
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has a class of its own for each kind of fault
            raise BadInput(
                path, f"cannot be loaded as ONNX ({_first_line(error)})", "an undamaged .onnx file"
            ) from None
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or inputs[0].type != "tensor(float)":
            found = ", ".join(f"{one.name}: {one.type}" for one in inputs) or "no inputs"
            raise BadInput(path, f"inputs {found}", "one input of float32 images [B, C, H, W]")
        self._name = inputs[0].name
        self._output = self._session.get_outputs()[0].name
        self.shape: tuple[int | None, ...] = tuple(n if isinstance(n, int) else None for n in inputs[0].shape)

    def __call__(self, images: Floats) -> Floats:
        """See :class:`Runtime`."""
        return np.asarray(self._session.run([self._output], {self._name: np.ascontiguousarray(images)})[0])


class OpenVinoRuntime:
    """A network in an ONNX or OpenVINO file, run by OpenVINO.

    Args:
        path: ``.onnx``, or ``.xml`` with its ``.bin`` beside it.
        threads: How many threads compute.

    Raises:
        BadInput: The file is missing, is no network, or has several inputs.
        EnvironmentFault: OpenVINO is not installed.
    """

    def __init__(self, path: Path, threads: int) -> None:
        require("openvino", "openvino")
        import openvino

        _require_file(path)
        # float32 throughout: some processors would otherwise compute with half the digits
        settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        try:
            model = openvino.Core().read_model(str(path))
            self._compiled = openvino.compile_model(model, "CPU", settings)
        except Exception as error:  # openvino raises RuntimeError and classes of its own
            raise BadInput(path, f"cannot be loaded by OpenVINO ({_first_line(error)})", "an undamaged file") from None
        if len(model.inputs) != 1:
            raise BadInput(path, f"{len(model.inputs)} inputs", "one input of images [B, C, H, W]")
        self._request = self._compiled.create_infer_request()

    def __call__(self, images: Floats) -> Floats:
        """See :class:`Runtime`."""
        found = self._request.infer([np.ascontiguousarray(images)])
        return np.array(found[self._compiled.outputs[0]], np.float32)  # the request keeps its buffer


RUNTIMES: dict[str, Any] = {"onnxruntime": OnnxRuntime, "openvino": OpenVinoRuntime}
"""Runtimes by the name of their package."""


def require(package: str, extra: str) -> None:
    """Refuse to go on without an optional package."""
    if find_spec(package) is None:
        raise EnvironmentFault(f"package {package!r}", "not installed", remedy=f"pip install 'anyscope[{extra}]'")


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise BadInput(path, "no such file", "a network in a file")


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:200]
