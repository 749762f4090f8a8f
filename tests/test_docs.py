"""What the documents show is true: the code of extending.md runs, links lead somewhere, verbs exist."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from anyscope import cli
from anyscope.adaptation import RULES, STEPS
from anyscope.attacks import ATTACKS
from anyscope.corruptions import CORRUPTIONS
from anyscope.datasets.catalog import CATALOG
from anyscope.datasets.synthetic import synthetic_images, write_synthetic
from anyscope.external.description import parse_description
from anyscope.instances import DECODERS
from anyscope.metrics import PROTOCOLS
from anyscope.microscope import MICROSCOPES, SPECIMENS
from anyscope.models import MODELS, SegmenterSpec, build_segmenter, save_segmenter
from anyscope.training.hardening import HARDENINGS
from anyscope.training.losses import LOSSES
from anyscope.workflows.catalog import datasets_page
from anyscope.workflows.conditions import conditions_page
from anyscope.workflows.methods import methods_page, objects_page

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.fixture
def registries():
    """The registries, put back as they were."""
    found = [SPECIMENS, MODELS, LOSSES, DECODERS, CORRUPTIONS, ATTACKS, STEPS, RULES, CATALOG]
    before = [dict(registry.items()) for registry in found]
    yield found
    for registry, entries in zip(found, before, strict=True):
        registry._entries = entries


def test_the_code_of_extending_runs(registries, monkeypatch):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "extending.md").read_text(), re.DOTALL)
    module = ModuleType("extending")
    monkeypatch.setitem(sys.modules, "extending", module)
    for block in blocks:
        exec(compile(block, "docs/extending.md", "exec", dont_inherit=True), vars(module))
    added = [name for registry in registries for name in registry]
    assert {
        "beads",
        "plain",
        "tversky",
        "cores",
        "banding",
        "patch_noise",
        "unsharp",
        "most-stable",
        "our-stack",
    } <= set(added)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # torch announces the end of TorchScript
def test_the_code_of_foreign_models_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    settings = MICROSCOPES["reference"].settings("nuclei")
    images = synthetic_images("nuclei", settings, count=2, shape=(64, 72), seed=3)
    write_synthetic(tmp_path / "data", images, settings.image_pixel_size_nm)
    spec = SegmenterSpec(model="unet_simple", arguments={"filters": (4, 8)}, task="semantic")
    save_segmenter(build_segmenter(spec, 0), tmp_path / "run" / "segmenter")
    names = {"run": tmp_path / "run", "data": tmp_path / "data", "images": tmp_path / "data" / "images"}
    text = (ROOT / "docs" / "foreign_models.md").read_text()
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(compile(block, "docs/foreign_models.md", "exec", dont_inherit=True), names)
    result = names["result"]
    assert result.scores.models == ("run", "exported", "threshold", "module", "tool", "package", "otsu")
    assert result.scores.tally.complete().all()
    for document in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL):
        parse_description(yaml.safe_load(document), "docs/foreign_models.md")
    assert all(kind in text for kind in ("onnx", "openvino", "torchscript", "bioimage", "module", "python", "command"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_the_verbs_of_the_readme_exist():
    text = (ROOT / "README.md").read_text()
    known = {command.name or command.callback.__name__ for command in cli.app.registered_commands} | {"data"}
    assert set(re.findall(r"^anyscope (\w+)", text, re.MULTILINE)) <= known
    for name in re.findall(r"`--protocol ([^`]+)`", text)[0].split(", "):
        assert name in PROTOCOLS


def test_the_page_of_corruptions_is_up_to_date():
    assert (ROOT / "docs" / "corruptions.md").read_text() == conditions_page()


def test_the_page_of_adaptation_is_that_of_the_registry():
    assert (ROOT / "docs" / "adaptation.md").read_text() == methods_page()


def test_the_page_of_objects_is_what_the_registries_say():
    assert (ROOT / "docs" / "objects.md").read_text() == objects_page()


def test_the_page_of_datasets_is_that_of_the_catalog():
    assert (ROOT / "docs" / "datasets.md").read_text() == datasets_page()


def test_nothing_of_this_machine_is_in_the_pages():
    for page in PAGES:
        assert not re.search(r"/(home|root|tmp|work)/", page.read_text()), page.name


def test_robust_trainings_and_strong_attacks_are_described():
    page = (ROOT / "docs" / "robustness.md").read_text()
    for name in [
        *HARDENINGS,
        *(entry for entry, kind in ATTACKS.items() if kind.__module__.endswith(("apgd", "square"))),
    ]:
        assert f"`{name}`" in page
