"""Projects made by tests: real files, a narrow network, under git and DVC."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import warm
from PIL import Image
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parent.parent.parent
COPIED = (
    ".dvcignore",
    "bin",
    "dvc.yaml",
    "prefect.yaml",
    "automations.yaml",
    "requirements.lock",
    "flows",
    "mlflow",
)
GIT = ("git", "-c", "user.name=test", "-c", "user.email=test@example.org")


def make_tree(root: Path, linked: bool = True) -> None:
    """Copy everything of this project that a stage needs; its code is linked, or copied to be edited."""
    root.mkdir()
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(
                source, root / name, ignore=shutil.ignore_patterns("__pycache__", "*.db*", "artifacts")
            )
        else:
            shutil.copy(source, root / name)
    (root / "src").mkdir()
    if linked:
        (root / "src" / "headstart").symlink_to(ROOT / "src" / "headstart")
    else:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "src" / "headstart", root / "src" / "headstart", ignore=ignored)
    shutil.copy(ROOT / "params.yaml", root)
    make_narrow(root)


def mark_project(root: Path) -> None:
    """Add what makes a folder a project to the commands: empty files, for tests that need no stage."""
    (root / "src/headstart").mkdir(parents=True, exist_ok=True)
    for name in ("dvc.yaml", "params.yaml", "src/headstart/__init__.py"):
        (root / name).touch()


def make_narrow(root: Path) -> None:
    """Set a network and a gate that are fast enough for a test."""
    edit_params(root, **{"backbone.width": 4, "train.epochs": 12, "train.lr": 0.05, "evaluate.resamples": 50})
    few = {"min_images": 5, "min_class_images": 2, "margin": 0.5, "class_margin": 1.0, "confidence": 0.5}
    easy = dict.fromkeys(("mirror", "brightness", "shift", "encoding"), 0.0)  # the head is trained on noise
    edit_params(root, **{f"gate.{name}": value for name, value in (few | easy).items()})


def edit_params(root: Path, **changes: object) -> None:
    """Set keys of params.yaml, given by their dotted path."""
    yaml = YAML()
    path = root / "params.yaml"
    document = yaml.load(path)
    for key, value in changes.items():
        section = document
        *folders, last = key.split(".")
        for part in folders:
            section = section[part]
        section[last] = value
    yaml.dump(document, path)


def draw_images(folder: Path, classes: dict[str, int], seed: int = 0) -> None:
    """Draw `{class: how many}` small noisy pictures as PNG files, each class brighter than the last."""
    random = np.random.default_rng(seed)
    for number, (name, count) in enumerate(classes.items()):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            height, width = random.integers(40, 80, 2)
            noise = random.integers(0, 100, (height, width, 3)) + 60 * number
            Image.fromarray(noise.astype(np.uint8)).save(folder / name / f"{index:03}.png")


def draw_mislabelled(folder: Path, count: int, wrong: int) -> None:
    """Draw `count` images each of `dark` and `light`, of which `wrong` in all lie in the other class."""
    draw_images(folder, {"dark": count, "light": count})
    random = np.random.default_rng(1)
    for path in random.choice(sorted(folder.rglob("*.png")), wrong, replace=False):
        other = "light" if path.parent.name == "dark" else "dark"
        path.rename(path.parent.parent / other / f"moved-{path.name}")


def make_repository(root: Path) -> None:
    """Make `root` a git and DVC project with its data added and a first commit."""
    (root / ".gitignore").write_text(
        "/data\n/artifacts/*\n!/artifacts/*.dvc\n/reports\n/mlflow/*.db*\n/mlflow/*.lock\n/mlflow/artifacts\n__pycache__/\n"
    )
    run(root, "git", "init", "--quiet", "--initial-branch=main")
    dvc(root, "init", "--quiet")
    shutil.copytree(ROOT / ".dvc/plots", root / ".dvc/plots")
    dvc(root, "config", "core.analytics", "false")
    remote = str(root.parent / f"{root.name}-remote")
    dvc(root, "remote", "add", "--quiet", "--default", "local", remote)
    dvc(root, "add", "--quiet", "data")
    commit(root)


def commit(root: Path) -> None:
    run(root, "git", "add", "--all")
    run(root, *GIT, "commit", "--quiet", "--allow-empty", "--message", "a test's state")


def run(
    root: Path, *command: str, check: bool = True, settings: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run a command in `root`; all its output, errors included, is in `stdout`."""
    environment = {**os.environ, **(settings or {})}
    done = subprocess.run(
        command, cwd=root, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
    )
    if check:
        assert done.returncode == 0, done.stdout
    return done


def dvc(root: Path, *arguments: str, check: bool = True) -> str:
    """Run DVC, and stages under it, by the warm interpreter."""
    python = warm.python()
    settings = {"HEADSTART_PYTHON": python}
    return run(root, python, "-m", "dvc", *arguments, check=check, settings=settings).stdout


def repro(root: Path, *arguments: str, check: bool = True) -> str:
    """Run `dvc repro`, and return its output."""
    return dvc(root, "repro", *arguments, check=check)


def headstart(root: Path, *arguments: str, status: int = 0) -> str:
    """Run the tree's own command, which must end with `status`, and return its output.

    It runs by the warm interpreter, but not what starts services or compares the bytes of two processes.
    """
    settings = _settings_of(arguments[0])
    done = run(root, str(root / "bin" / "headstart"), *arguments, check=False, settings=settings)
    assert done.returncode == status, done.stdout
    return done.stdout


def result_of(root: Path, *arguments: str, status: int = 0) -> Any:
    """The document that the tree's own command prints with --json; None if standard output is empty."""
    done = subprocess.run(
        [str(root / "bin" / "headstart"), *arguments, "--json"],
        cwd=root,
        capture_output=True,
        text=True,
        env={**os.environ, **_settings_of(arguments[0])},
    )
    assert done.returncode == status, done.stdout + done.stderr
    return json.loads(done.stdout) if done.stdout else None


def _settings_of(command: str) -> dict[str, str]:
    if command in {"reproduce", "services"}:
        return {}
    own = {"HEADSTART_PYTHON": warm.python()}
    return own if command != "run" or "PREFECT_API_URL" in os.environ else own | _prefect()


def _prefect() -> dict[str, str]:
    from servers import shared_prefect  # uvicorn takes 0.2 s to import

    return {"PREFECT_API_URL": shared_prefect()}
