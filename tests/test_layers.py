"""The layers of the code: imports only go down, and each outside tool is imported in one place."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from projects import ROOT

LAYERS = (  # each may import the ones before it
    "errors",
    "progress",
    "ground",
    "pipeline.pages",
    "pipeline.store",
    "pipeline.data",
    "pipeline.data_docs",
    "pipeline.network",
    "pipeline.pixels",
    "pipeline.features",
    "pipeline.explanation",
    "pipeline.inspection",
    "pipeline.training",
    "pipeline.evaluation",
    "host",
    "repository",
    "sources",
    "review",
    "versions.registry",
    "versions.serving",
    "versions.provenance",
    "versions.release",
    "versions.export",
    "versions.monitoring",
    "params",
    "projects",
    "containers",
    "api",
    "orchestration",
    "cli",
    "flows",
)
SPLIT = ("pipeline", "versions")  # their subpackages are layers of their own
LOOSE = {"__init__", "__main__", "errors", "params", "progress"}


def room_of(module: str) -> str:
    parts = module.removeprefix("headstart.").split(".")
    return ".".join(parts[:2]) if parts[0] in SPLIT else parts[0]


def imports() -> Iterator[tuple[str, str]]:
    """Pairs of a module and a module it imports, late imports included."""
    for folder, package in ((ROOT / "src/headstart", "headstart"), (ROOT / "flows", "flows")):
        for path in folder.rglob("*.py"):
            if path.stem in ("__init__", "__main__") and path.parent == folder:
                continue
            module = ".".join((package, *path.relative_to(folder).with_suffix("").parts))
            for imported in imported_by(path):
                yield module, imported


def imported_by(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.startswith("headstart."))
        elif isinstance(node, ast.ImportFrom) and node.module:
            first = node.module.partition(".")[0]
            if node.module in ("headstart", *(f"headstart.{name}" for name in SPLIT)):
                yield from (f"{node.module}.{name.name}" for name in node.names)
            elif first in ("headstart", "flows"):
                yield node.module


def test_imports_run_down_only() -> None:
    upwards = [
        f"{module} imports {imported}"
        for module, imported in imports()
        if imported != "headstart.__version__"
        and room_of(module) != room_of(imported)
        and LAYERS.index(room_of(module)) < LAYERS.index(room_of(imported))
    ]
    assert upwards == []


def test_every_room_has_its_layer() -> None:
    found = {room_of(module) for module, _ in imports()} | {room_of(imported) for _, imported in imports()}
    assert found - {"__version__"} <= set(LAYERS)
    assert {path.stem for path in (ROOT / "src/headstart").glob("*.py")} == LOOSE


@pytest.mark.parametrize("flow", sorted((ROOT / "flows").glob("*.py")), ids=lambda path: path.name)
def test_a_flow_is_read_at_a_glance(flow: Path) -> None:
    assert len(flow.read_text(encoding="utf-8").splitlines()) < 100
