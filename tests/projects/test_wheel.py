"""The package as people get it: a wheel in an environment of its own, and a project that runs it.

The environment takes the libraries from the one that runs the tests, and the code from the wheel.
"""

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from projects import GIT, ROOT, draw_images, edit_params, make_narrow, make_repository, make_tree

import headstart
from headstart.pipeline.network import checkpoint
from headstart.projects import template

pytestmark = pytest.mark.slow

HEAD = "artifacts/head.safetensors"
SAME = (HEAD, "artifacts/predictions.parquet", "artifacts/features.safetensors", "reports/metrics.json")
TRAINING = "pipeline/training/loop.py"


@pytest.fixture(scope="module")
def wheel(common: Path) -> Path:
    build = [sys.executable, "-m", "uv", "build", "--quiet", "--wheel", "--no-build-isolation", "--offline"]
    subprocess.run([*build, "--python", sys.executable, "--out-dir", common / "dist", ROOT], check=True)
    [found] = (common / "dist").glob("*.whl")
    return found


@pytest.fixture(scope="module")
def environment(common: Path, wheel: Path) -> Path:
    """The folder of its programs."""
    uv = [sys.executable, "-m", "uv", "--quiet", "--offline"]
    root = common / "an environment"
    subprocess.run([*uv, "venv", "--python", sys.executable, root], check=True)
    own = root / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    (own / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    python = root / "bin" / "python"
    subprocess.run([*uv, "pip", "install", "--no-deps", "--python", python, wheel], check=True)
    return root / "bin"


def call(environment: Path, folder: Path, *command: str, status: int = 0) -> str:
    """Run a program as in the activated environment."""
    program = (
        [str(environment / "python"), "-m", "dvc"] if command[0] == "dvc" else [str(environment / command[0])]
    )
    apart = {
        name: value for name, value in os.environ.items() if name not in ("HEADSTART_PYTHON", "PYTHONPATH")
    }
    path = f"{environment}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [*program, *command[1:]], cwd=folder, env={**apart, "PATH": path}, capture_output=True, text=True
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def project(common: Path, environment: Path) -> Path:
    """A project in a folder with a space, with results and a registered version."""
    root = common / "my project"
    call(environment, common, "headstart", "init", root.name)
    make_narrow(root)
    edit_params(root, **{"backbone.weights": "random"})
    draw_images(root / "data", {"dark": 24, "light": 24})
    call(environment, root, "dvc", "add", "--quiet", "data")
    subprocess.run([*GIT, "-C", root, "add", "--all"], check=True)
    subprocess.run([*GIT, "-C", root, "commit", "--quiet", "--message", "own data"], check=True)
    call(environment, root, "dvc", "config", "--local", "remote.local.url", str(common / "remote"))
    call(environment, root, "dvc", "repro")
    call(environment, root, "headstart", "register")
    return root


def _install(environment: Path, name: str, version: str) -> None:
    """Let a library look like another version."""
    own = (
        environment.parent
        / "lib"
        / f"python{sys.version_info.major}.{sys.version_info.minor}"
        / "site-packages"
    )
    (own / f"{name}-{version}.dist-info").mkdir()
    (own / f"{name}-{version}.dist-info" / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")


def stages_changed(environment: Path, root: Path) -> list[str]:
    return list(json.loads(call(environment, root, "dvc", "status", "--json").splitlines()[-1]))


def test_the_wheel_holds_all_that_a_project_begins_with(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    placed = (*template.SHARED, "data.dvc", "requirements.lock", "Makefile", "README.md.j2", "gitignore")
    assert {f"headstart/projects/template/{name}" for name in placed} <= names
    sources = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src/headstart").rglob("*.py")}
    assert sources <= names
    assert not [name for name in names if "__pycache__" in name or name.endswith(".db")]


def test_it_runs_without_a_project(environment: Path, tmp_path: Path) -> None:
    assert call(environment, tmp_path, "headstart", "--version") == f"headstart {headstart.__version__}\n"
    script = "import headstart; print(headstart.__file__, headstart.load, headstart.Project)"
    said = call(environment, tmp_path, "python", "-c", script)
    assert str(environment.parent) in said


def test_a_project_makes_the_head_that_a_clone_makes(common: Path, project: Path, environment: Path) -> None:
    clone = common / "clone"
    make_tree(clone)
    draw_images(clone / "data", {"dark": 24, "light": 24})
    make_repository(clone)
    python = [sys.executable, "-m", "dvc", "repro", "--quiet"]
    subprocess.run(
        python, cwd=clone, check=True, env={**os.environ, "HEADSTART_CACHE": str(common / "other store")}
    )
    own, other = (checkpoint.metadata(root / HEAD, checkpoint.HEAD)["digest"] for root in (project, clone))
    assert own == other
    assert [name for name in SAME if (project / name).read_bytes() != (clone / name).read_bytes()] == []
    assert stages_changed(environment, project) == []


def test_its_checks_of_data_and_model_pass(project: Path, environment: Path) -> None:
    assert "3 passed, 1 skipped" in call(
        environment, project, "python", "-m", "pytest", "tests"
    )  # few images


def test_nothing_is_to_upgrade(project: Path, environment: Path) -> None:
    said = call(environment, project, "headstart", "upgrade")
    assert said == f"nothing to do: the project is at headstart {headstart.__version__}\n"


def test_another_package_runs_only_what_it_changes(common: Path, project: Path, environment: Path) -> None:
    """A version that an earlier package made can still be made again, and still answers to the gate."""
    code = next(environment.parent.rglob(f"headstart/{TRAINING}"))
    before = code.read_text()
    code.write_text(before + "\nimport uvicorn\n")  # the code changes, and what it imports
    try:
        said = call(environment, project, "headstart", "register", status=1)
        assert "train has other code" in said
        assert "`headstart upgrade`" in said
        edit_params(project, **{"train.epochs": 11})
        assert "headstart train: error" in call(environment, project, "dvc", "repro", status=255)
        lock = (project / "headstart.lock.yaml").read_bytes()
        said = call(environment, project, "headstart", "upgrade", "--dry-run")
        assert "Runs again: train" in said
        assert (project / "headstart.lock.yaml").read_bytes() == lock
        report = json.loads(call(environment, project, "headstart", "upgrade", "--json"))
        assert list(report["stages"]) == ["train", "evaluate"]
        assert report["stages"]["train"][0] == "other code"
        assert report["stages"]["train"][1].startswith("uvicorn ")
        assert report["stages"]["evaluate"] == ["reads what train writes"]
        assert set(stages_changed(environment, project)) == {"train", "evaluate"}
        call(environment, project, "dvc", "repro")
        call(environment, project, "headstart", "register")
        again = ("headstart", "reproduce", "models:/headstart/1", "--from", "train")
        assert "identical" in call(environment, project, *again)
        _install(environment, "markupsafe", "99.0")  # of a stage before it
        assert "identical" in call(environment, project, *again, "--environment", "current")
        report = call(environment, project, "headstart", "compare", "headstart/1", "headstart/2", "--json")
        assert f"src/headstart/{TRAINING}" in report
    finally:
        code.write_text(before)
