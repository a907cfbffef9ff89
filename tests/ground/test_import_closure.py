"""The files that a module's result depends on, found through its imports, and their digest."""

import ast
import shutil
from pathlib import Path

import pytest
from projects import ROOT

from headstart.ground import import_closure as import_closure_module
from headstart.ground.import_closure import NO_RESULT, closure_digest, import_closure

STAGE = "headstart.pipeline.training.stage"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A package `ours`; each test writes its module `start`."""
    for name in ("ours", "ours/deep", "ours/coded"):
        (tmp_path / "src" / name).mkdir(parents=True)
        (tmp_path / "src" / name / "__init__.py").write_text('"""A package."""\n')
    (tmp_path / "src/ours/coded/__init__.py").write_text("from ours import late\nNUMBER = 1\n")
    for name in ("ours/late.py", "ours/deep/inner.py", "ours/deep/other.py", "ours/coded/inner.py"):
        (tmp_path / "src" / name).write_text("VALUE = 1\n")
    (tmp_path / "src" / "ours_too.py").write_text("")
    return tmp_path / "src"


def closure(source: Path, text: str, module: str = "ours.start") -> set[str]:
    """The closure's files except the module itself, relative to the package."""
    path = source.joinpath(*module.split(".")).with_suffix(".py")
    path.write_text(text)
    return {name.removeprefix("src/ours/") for name in import_closure(source, module)} - {
        path.relative_to(source / "ours").as_posix()
    }


@pytest.mark.parametrize(
    "text",
    [
        "from ours.deep.inner import VALUE",
        "from ours.deep import inner as renamed",
        "import ours.deep.inner",
        "import ours.deep.inner as inner",
        "def late():\n    from ours.deep import inner",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import ours.deep.inner",
        "from .deep import inner",
        "from .deep.inner import VALUE",
    ],
)
def test_every_form_of_import_is_followed(source: Path, text: str) -> None:
    assert closure(source, text) == {"deep/inner.py"}


@pytest.mark.parametrize(
    "text", ["from . import inner", "from .inner import VALUE", "from ..deep import inner"]
)
def test_relative_imports_start_at_the_modules_package(source: Path, text: str) -> None:
    assert closure(source, text, "ours.deep.start") == {"deep/inner.py"}


def test_other_packages_are_not_followed(source: Path) -> None:
    assert closure(source, "import ours_too, json, ours\nfrom ours import deep") == set()


def test_a_package_with_code_counts_with_what_it_imports(source: Path) -> None:
    assert closure(source, "from ours.coded.inner import VALUE") == {
        "coded/__init__.py",
        "coded/inner.py",
        "late.py",
    }


def test_circles_end(source: Path) -> None:
    (source / "ours/late.py").write_text("from ours import start")
    assert closure(source, "from ours import late") == {"late.py"}


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this package, to be edited."""
    package = tmp_path_factory.mktemp("copied") / "src" / "headstart"
    ignored = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(ROOT / "src" / "headstart", package, ignore=ignored))


@pytest.mark.parametrize(
    ("file", "old", "new", "same"),
    [
        ("pipeline/network/weights.py", "bound = 1 /", "bound = 100 /", False),
        (
            "pipeline/training/batched_optimizer.py",
            "EPSILON = (0.9, 0.999), 1e-8",
            "EPSILON = (0.9, 0.999), 1",
            False,
        ),
        ("pipeline/features/image_rows.py", "pixels[index] = make_view", "pixels[0] = make_view", False),
        ("ground/runtime.py", 'set_float32_matmul_precision("highest")', "manual_seed(0)", False),
        ("errors.py", "A layer's name", "The name of a layer", True),
        ("progress.py", "mininterval=interval", "mininterval=1", True),
        ("pipeline/evaluation/metrics.py", "import", "import  ", True),
    ],
)
def test_the_digest_of_the_train_stage_changes_with_code_that_decides_its_result(
    copied: Path, monkeypatch: pytest.MonkeyPatch, file: str, old: str, new: str, same: bool
) -> None:
    monkeypatch.setattr(import_closure_module, "PACKAGE", copied)
    path = copied / file
    text = path.read_text()
    assert old in text
    before = closure_digest(STAGE)
    path.write_text(text.replace(old, new))
    assert (closure_digest(STAGE) == before) == same
    path.write_text(text)
    assert closure_digest(STAGE) == before


def test_files_that_decide_no_result_hold_a_version_lazy_names_wording_and_how_threads_wait() -> None:
    package = ROOT / "src" / "headstart"
    lazy = ast.parse((package / "__init__.py").read_text()).body[1:]
    waiting = (
        "os.environ.setdefault('OMP_WAIT_POLICY', 'passive')"  # threads wait so or so for the same bytes
    )
    assert [
        node.name if isinstance(node, ast.FunctionDef) else ast.unparse(node).split(" = ")[0] for node in lazy
    ] == [
        "import importlib",
        "import os",
        "__version__",
        "__all__",
        "_PLACES",
        waiting,
        "__getattr__",
        "__dir__",
    ]
    assert {"__init__.py", "errors.py", "progress.py"} == NO_RESULT
    errors = ast.parse((package / "errors.py").read_text()).body[1:]
    functions = {node.name for node in errors if isinstance(node, ast.FunctionDef)}
    assert functions == {"without_password", "has_password"}  # of messages
    plain = (ast.ClassDef, ast.FunctionDef, ast.Import, ast.Assign)
    assert all(isinstance(node, plain) for node in errors)
    assert [ast.unparse(node) for node in errors if isinstance(node, ast.Import)] == ["import re"]
