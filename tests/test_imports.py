"""Commands start quickly: no command or stage imports what it does not use."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import headstart

HEAVY = {"torch", "torchvision", "great_expectations", "mlflow", "prefect", "matplotlib", "pandas"}
USED = {
    "cli.main": set(),
    "repository": set(),
    "api.model": set(),
    "api.project": set(),
    "cli.network_params": set(),
    "versions.registry.versions": {"mlflow"},
    "pipeline.network.stage": {"torch"},
    "pipeline.data.stage": {"great_expectations", "pandas"},
    "pipeline.pixels.stage": {"torch", "torchvision", "pandas"},
    "pipeline.features.stage": {"torch", "torchvision", "pandas"},
    "pipeline.training.stage": {"torch", "pandas"},
    "pipeline.evaluation.stage": {"torch", "pandas"},
}


@pytest.mark.parametrize("module", USED)
def test_a_module_imports_only_what_it_uses(module: str) -> None:
    script = f"import sys, headstart.{module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    allowed = USED[module]
    if "mlflow" in allowed:  # it imports pandas and, if they are installed, others
        allowed = HEAVY - {"torch", "torchvision", "great_expectations", "prefect"}
    if "great_expectations" in allowed:  # it imports matplotlib
        allowed = allowed | {"matplotlib"}
    assert set(done.stdout.split()) & HEAVY <= allowed


def test_the_parser_imports_nothing_that_single_commands_need() -> None:
    script = "import sys, headstart.cli.main; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    needed = {"ruamel.yaml", "pydantic", "packaging.markers", "jinja2", "headstart.repository"}
    assert not needed & set(done.stdout.split())


def test_importing_the_package_imports_nothing_but_itself() -> None:
    script = "import sys, headstart; print(*(name for name in sys.modules if name.startswith('headstart')))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["headstart"]


def test_what_the_package_offers_is_what_type_checkers_see() -> None:
    stub = ast.parse(Path(headstart.__file__ or "").with_suffix(".pyi").read_text(encoding="utf-8"))
    typed = {
        f"{node.module}.{name.name}"
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    offered = {name: getattr(headstart, name) for name in headstart.__all__ if name != "__version__"}
    assert typed == {f"{value.__module__}.{name}" for name, value in offered.items()}
    assert set(headstart.__all__) <= set(dir(headstart))
    with pytest.raises(AttributeError, match="has no attribute 'laod'"):
        headstart.laod  # type: ignore[attr-defined]  # noqa: B018


def test_a_deterministic_run_does_not_import_the_compiler() -> None:
    script = (
        "import sys, torch; from headstart.ground import runtime; runtime.make_deterministic(0);"
        "print(torch.are_deterministic_algorithms_enabled(), 'torch._inductor' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]


LIBRARY = """
import ctypes, importlib.util, pathlib, sys
import headstart
torch = pathlib.Path(importlib.util.find_spec("torch").origin).parent
found = sorted(torch.glob("lib/libgomp*.so*")) or sys.exit("none")
ctypes.CDLL(found[0])
"""


@pytest.mark.parametrize(("own", "policy"), [(None, "PASSIVE"), ("active", "ACTIVE")])
def test_threads_wait_passively_unless_the_user_chose_otherwise(own: str | None, policy: str) -> None:
    settings = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    settings |= {"OMP_DISPLAY_ENV": "true"} | ({} if own is None else {"OMP_WAIT_POLICY": own})
    done = subprocess.run([sys.executable, "-c", LIBRARY], capture_output=True, text=True, env=settings)
    if done.stderr.strip() == "none":
        pytest.skip("torch brings another OpenMP than GNU's")
    assert f"OMP_WAIT_POLICY = '{policy}'" in done.stderr
