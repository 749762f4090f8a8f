"""From paths to models: what is found, what is refused, and with which words."""

from __future__ import annotations

import shutil
import sys

import numpy as np
import pytest
import torch
import yaml

from anyscope.errors import BadInput, EnvironmentFault
from anyscope.external import ForeignNetwork, is_foreign, open_foreign, read_foreign
from anyscope.external.functions import stacked
from anyscope.inference import predict_maps
from anyscope.models import load_segmenter
from tests.external.conftest import describe

IMAGE = np.random.default_rng(0).random((1, 2, 41, 37), dtype=np.float32)

MODULE = """
import numpy as np
import torch

def above(plane):
    assert plane.dtype == np.float32 and plane.ndim == 2
    return plane > 0.5

def ids(stack):
    return (np.arange(stack.size).reshape(stack.shape) % 5).astype(np.int64)

def probability(plane):
    return plane

def short(plane):
    return plane[1:]

def words(plane):
    return "mask"

def broken(plane):
    raise ValueError("no such thing")

number = 3
network = torch.nn.Conv2d(1, 1, 3, padding=1)

def make():
    return torch.nn.Conv2d(1, 2, 3, padding=1)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a module of functions."""
    root = tmp_path_factory.mktemp("functions")
    (root / "foreign_functions.py").write_text(MODULE)
    return root


def function(folder, tmp_path, name, **more):
    """A description of a function, in a copy of the folder."""
    shutil.copy(folder / "foreign_functions.py", tmp_path)
    return describe(tmp_path, kind=more.pop("kind", "python"), path=f"foreign_functions:{name}", **more)


@pytest.mark.parametrize("to", ["onnx", "torchscript", "openvino"])
def test_maps_are_those_of_the_segmenter(exported, to):
    network = open_foreign(exported[to], trust=to == "torchscript")
    assert isinstance(network, ForeignNetwork)
    assert network.differentiable == (to == "torchscript")
    assert network.receptive_field() == 19
    expected = predict_maps(load_segmenter(exported["ours"]), IMAGE)
    np.testing.assert_allclose(predict_maps(network, IMAGE), expected, atol=1e-5)


def test_gradients_flow_through_torchscript_alone(exported):
    for to in ("torchscript", "onnx"):
        network = open_foreign(exported[to], trust=True)
        image = torch.rand(1, 1, 30, 34, requires_grad=True)
        logits = network(image)
        assert logits.requires_grad == (to == "torchscript")
    expected = torch.rand(1, 1, 30, 34, generator=torch.Generator().manual_seed(0)).requires_grad_()
    ours = load_segmenter(exported["ours"])
    theirs = open_foreign(exported["torchscript"], trust=True)
    for network in (ours, theirs):
        network(expected).sum().backward()
    assert torch.isfinite(expected.grad).all()
    single = expected.grad / 2
    expected.grad = None
    ours(expected).sum().backward()
    torch.testing.assert_close(single, expected.grad)


def test_what_is_foreign(exported, program, tmp_path):
    for path in (program, program.parent, exported["onnx"] / "model.onnx", "package.module:function"):
        assert is_foreign(path), path
    for path in (exported["ours"], exported["ours"] / "segmenter", tmp_path, "package.module"):
        assert not is_foreign(path), path


def test_functions_give_masks_ids_and_probabilities(folder, tmp_path):
    mask = open_foreign(function(folder, tmp_path, "above"), trust=True)(IMAGE)
    np.testing.assert_array_equal(mask, IMAGE[0] > 0.5)
    likely = open_foreign(function(folder, tmp_path, "probability", threshold=0.7), trust=True)(IMAGE)
    np.testing.assert_array_equal(likely, IMAGE[0] > np.float32(0.7))
    ids = open_foreign(function(folder, tmp_path, "ids", task="instances", axes="zyx"), trust=True)(IMAGE)
    np.testing.assert_array_equal(ids, np.arange(IMAGE[0].size).reshape(IMAGE[0].shape) % 5)
    planes = open_foreign(function(folder, tmp_path, "ids", task="instances"), trust=True)(IMAGE)
    assert set(np.unique(planes[0])) == {0, 1, 2, 3, 4}
    assert set(np.unique(planes[1])) == {0, 5, 6, 7, 8}  # an object of another plane is another object


def test_ids_of_planes():
    planes = [np.array([[[1, 0, 3]]]), np.array([[[0, 2, 2]]])]
    np.testing.assert_array_equal(stacked(planes, objects=True), [[[1, 0, 3]], [[0, 5, 5]]])
    np.testing.assert_array_equal(stacked(planes, objects=False), [[[1, 0, 3]], [[0, 2, 2]]])


def test_modules_are_networks(folder, tmp_path):
    given = {"kind": "module", "output": "logits"}
    network = open_foreign(function(folder, tmp_path, "network", **given), trust=True)
    assert network.differentiable
    pair = open_foreign(function(folder, tmp_path, "make", **given, activation="softmax"), trust=True)
    both = pair.body(torch.zeros(1, 1, 8, 8))
    torch.testing.assert_close(pair(torch.zeros(1, 1, 8, 8)), both[:, 1:] - both[:, :1])
    chosen = open_foreign(function(folder, tmp_path, "make", **given, output_channels=[1]), trust=True)
    assert chosen(torch.zeros(1, 1, 8, 8)).shape == (1, 1, 8, 8)


def test_probabilities_become_the_logits_they_were():
    from anyscope.external import NetworkFile

    class Sigmoid(torch.nn.Module):
        def forward(self, x):
            return torch.sigmoid(4 * x - 2)

    plain = {"kind": "module", "path": "a:b", "output": "probabilities", "value_range": (0, 2)}
    network = ForeignNetwork(NetworkFile.model_validate(plain), Sigmoid())
    image = torch.rand(1, 1, 5, 5)
    torch.testing.assert_close(network(image), 8 * image - 2, atol=1e-3, rtol=1e-3)


WRONG = [
    ("short", {}, r"an answer of shape \(40, 37\); expected \(1, 41, 37\)"),
    ("words", {}, "the answer is str"),
    ("probability", {"task": "instances"}, "the answer is float32; expected integers"),
    ("number", {}, "is a int"),
    ("nothing", {}, "there is no 'nothing'"),
    ("above", {"channels": 2}, "have no place for 2 channels"),
    ("above", {"colour": "red"}, "colour"),
    ("above", {"anyscope_model": 2}, "newer anyscope"),
    ("number", {"kind": "module"}, "is a int"),
    ("ids", {"axes": "zyx", "classes": 3}, "the class 4"),
]


@pytest.mark.parametrize(("name", "more", "words"), WRONG)
def test_one_clear_line_for_functions(folder, tmp_path, name, more, words):
    with pytest.raises(BadInput, match=words):
        open_foreign(function(folder, tmp_path, name, **more), trust=True)(IMAGE)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"kind": "onnx", "path": "nothing.onnx"}, "there is no 'nothing.onnx'"),
        ({"kind": "onnx", "path": "../model.onnx"}, "leads out of its folder"),
        ({"kind": "onnx", "path": "/etc/passwd"}, "leads out of its folder"),
        ({"kind": "onnx"}, "'onnx.path'"),
        ({"kind": "sql", "path": "a"}, "kind is onnx, torchscript"),
        ({"kind": "onnx", "path": "model.onnx", "channels": 3}, "takes 1 channels; expected 3"),
        ({"kind": "onnx", "path": "model.onnx", "heads": ["mask", "boundary"]}, "1 channels of output; expected 2"),
        ({"kind": "onnx", "path": "model.onnx", "heads": ["boundary"]}, "no mask"),
        ({"kind": "onnx", "path": "model.onnx", "heads": ["nucleus"]}, "is no head"),
        ({"kind": "onnx", "path": "model.onnx", "sha256": "0" * 64}, "SHA-256"),
        ({"kind": "onnx", "path": "text.onnx"}, "cannot be loaded as ONNX"),
        ({"kind": "torchscript", "path": "text.onnx"}, "cannot be loaded as TorchScript"),
        ({"kind": "torchscript", "path": "pickle.pt"}, "pickled module or state_dict is not opened"),
        ({"kind": "command", "command": "no-such-program {input} {output}"}, "no such program"),
        ({"kind": "command", "command": "true {input}"}, "does not say where {output} goes"),
        ({"kind": "command", "command": "true {input} {output} {home}"}, "stands for nothing"),
        ({"kind": "command", "command": "true {input} {output}", "format": ".png", "dtype": "float32"}, "PNG"),
        ({"kind": "command", "command": "true {input} {output}", "format": ".exe"}, "format"),
        ([1, 2], "holds a list"),
    ],
)  # fmt: skip
def test_one_clear_line_for_descriptions(exported, tmp_path, document, words):
    shutil.copy(exported["onnx"] / "model.onnx", tmp_path)
    (tmp_path / "text.onnx").write_text("not a network")
    torch.save({"weight": torch.zeros(3)}, tmp_path / "pickle.pt")
    (tmp_path / "anyscope-model.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(BadInput, match=words):
        model = open_foreign(tmp_path, trust=True)
        model(torch.zeros(1, document["channels"], 8, 8))


def test_a_plain_file_that_leaves_doubt_is_refused(tmp_path):
    """A network whose output is always in 0..1 may be read in two ways; one that is not is read as logits."""

    class Sigmoid(torch.nn.Module):
        def forward(self, x):
            return torch.sigmoid(x)

    class Doubled(torch.nn.Module):
        def forward(self, x):
            return 2 * x - 1

    for name, module in (("doubt", Sigmoid()), ("clear", Doubled())):
        with pytest.warns(FutureWarning):
            torch.jit.trace(module, torch.zeros(1, 1, 8, 8)).save(str(tmp_path / f"{name}.pt"))
    with pytest.raises(BadInput, match="probabilities or logits"):
        open_foreign(tmp_path / "doubt.pt", trust=True)
    (tmp_path / "doubt.yaml").write_text(
        yaml.safe_dump({"anyscope_model": 1, "kind": "torchscript", "path": "doubt.pt", "output": "probabilities"})
    )
    image = torch.rand(1, 1, 8, 8)
    torch.testing.assert_close(open_foreign(tmp_path / "doubt.pt", trust=True)(image), image, atol=1e-4, rtol=1e-4)
    assert read_foreign(tmp_path / "clear.pt")[0].stride == 32
    open_foreign(tmp_path / "clear.pt", trust=True)


def test_links_do_not_lead_out(exported, tmp_path):
    (tmp_path / "link.onnx").symlink_to(exported["onnx"] / "model.onnx")
    with pytest.raises(BadInput, match="leads out"):
        open_foreign(describe(tmp_path, kind="onnx", path="link.onnx"))


def test_without_the_runtime(exported, monkeypatch):
    monkeypatch.setattr("anyscope.models.runtimes.find_spec", lambda name: None)
    with pytest.raises(EnvironmentFault, match=r"anyscope\[onnx\]"):
        open_foreign(exported["onnx"])


PROGRAMS = {
    "nothing": ("import sys", "wrote no labels.tif"),
    "small": (
        "import sys, tifffile, numpy; tifffile.imwrite(sys.argv[2], numpy.zeros((3, 3), numpy.uint8))",
        r"an answer of shape \(1, 3, 3\); expected \(1, 41, 37\)",
    ),
    "text": ("import sys; open(sys.argv[2], 'w').write('mask')", "labels.tif"),
    "killed": ("import os; os.kill(os.getpid(), 9)", "ended by signal 9: it said nothing"),
    "negative": (
        "import sys, tifffile, numpy; tifffile.imwrite(sys.argv[2], numpy.full((41, 37), -1, numpy.int16))",
        "labels from -1 to -1",
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_one_clear_line_for_programs(tmp_path, name):
    code, words = PROGRAMS[name]
    (tmp_path / "tool.py").write_text(code)
    model = open_foreign(
        describe(tmp_path, kind="command", command=f"{sys.executable} tool.py {{input}} {{output}}"), trust=True
    )
    with pytest.raises(BadInput, match=words):
        model(IMAGE)


def test_a_program_sees_no_shell_and_its_environment(tmp_path):
    (tmp_path / "tool.py").write_text(
        "import os, sys, tifffile, numpy\n"
        "assert sys.argv[3] == '$(touch hacked); *' and os.environ['LEVEL'] == '7'\n"
        "image = tifffile.imread(sys.argv[1])\n"
        "assert image.dtype == numpy.uint16 and image.shape == (2, 41, 37)\n"
        "tifffile.imwrite(sys.argv[2], (image > 32767).astype(numpy.uint8))\n"
    )
    words = [sys.executable, "tool.py", "{input}", "{output}", "$(touch hacked); *"]
    path = describe(
        tmp_path, kind="command", command=words, dtype="uint16", axes="zyx", environment={"LEVEL": "7"}
    )  # fmt: skip
    labels = open_foreign(path, trust=True)(IMAGE)
    np.testing.assert_array_equal(labels, np.rint(IMAGE[0] * 65535) > 32767)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["anyscope-model.yaml", "tool.py"]


def test_modules_of_one_name_in_two_folders(tmp_path):
    models = []
    for name, level in (("a", 0.2), ("b", 0.8)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "same_name.py").write_text(f"def above(plane):\n    return plane > {level}\n")
        models.append(open_foreign(describe(tmp_path / name, kind="python", path="same_name:above"), trust=True))
    for model, level in zip(models, (0.2, 0.8), strict=True):
        np.testing.assert_array_equal(model(IMAGE), IMAGE[0] > level)
