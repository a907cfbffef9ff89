"""A clone with its own data takes over newer versions by the commands of docs/upgrade.md."""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import warm
from projects import ROOT, commit, draw_images, dvc, edit_params, make_repository, make_tree, run
from ruamel.yaml import YAML

pytestmark = pytest.mark.slow
CODE = "src/headstart/pipeline/training/loop.py"
AUTHOR = {f"GIT_{role}_{part}": "test" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
MAKE = 'make() { test "$*" = install; }'  # the tests' environment is installed


@dataclass(frozen=True)
class Clone:
    """A user's clone and the repository that it came from.

    Attributes:
        own: bytes of the files that are the user's, as they were before any upgrade.
    """

    root: Path
    upstream: Path
    own: Mapping[str, bytes]

    def upgrade(self) -> dict[str, str]:
        """Run the commands of the page, and return the output of each by its first words."""
        return {line.split("  ")[0]: self.typed(line) for line in commands()}

    def typed(self, line: str) -> str:
        settings = {"HEADSTART_PYTHON": warm.python(), **AUTHOR}
        line = line.replace("UPSTREAM", str(self.upstream))
        return run(self.root, "bash", "-c", f"{MAKE}; {line}", check=False, settings=settings).stdout

    def git(self, *arguments: str) -> str:
        return run(self.root, "git", *arguments).stdout


def commands() -> list[str]:
    """The lines of the block about clones in docs/upgrade.md."""
    page = (ROOT / "docs/upgrade.md").read_text(encoding="utf-8")
    block = r"^## A clone with your own data$.*?^```\n(.*?)^```"
    found = re.search(block, page, flags=re.MULTILINE | re.DOTALL)
    assert found
    return found[1].splitlines()


@pytest.fixture(scope="module")
def clone(common: Path) -> Clone:
    """A clone from the time when the repository had the demo's dvc.lock, with its own data and parameters."""
    upstream, root = common / "upstream", common / "project"
    make_tree(upstream, linked=False)
    draw_images(upstream / "data", {"ok": 12, "scratch": 12})
    make_repository(upstream)
    dvc(upstream, "repro", "--quiet", "backbone")
    commit(upstream)
    run(common, "git", "clone", "--quiet", str(upstream), str(root))
    _install(root)
    draw_images(root / "data", {"dark": 24, "light": 24}, seed=1)
    edit_params(root, **{"train.lr": 0.04, "gate.margin": 0.4})
    _replace(root / "params.yaml", r"(  lr: 0\.04.*)", r"\1  # found by trying")
    dvc(root, "add", "--quiet", "data")
    dvc(root, "repro", "--quiet")
    own = {name: (root / name).read_bytes() for name in ("params.yaml", "data.dvc")}
    return Clone(root, upstream, own)


def _install(root: Path) -> None:
    (root / ".venv").mkdir()
    (root / ".venv/bin").symlink_to(Path(sys.executable).parent)
    (root / ".git/info/exclude").write_text(".venv/\n")


def _replace(path: Path, pattern: str, new: str) -> None:
    text, count = re.subn(pattern, new, path.read_text(encoding="utf-8"))
    assert count == 1, f"{pattern} is {count} times in {path}"
    path.write_text(text, encoding="utf-8")


def _publish(upstream: Path, comment: str) -> None:
    """A newer version: other code of the training, and a comment beside a line that users change."""
    with (upstream / CODE).open("a", encoding="utf-8") as code:
        code.write(f"# {comment}\n")
    _replace(upstream / "params.yaml", r"(  lr: 0\.05).*", rf"\1  # {comment}")
    commit(upstream)


@pytest.fixture(scope="module")
def first(clone: Clone) -> dict[str, str]:
    """The upgrade to the version that drops dvc.lock, with its outputs."""
    (clone.upstream / "dvc.lock").unlink()
    _publish(clone.upstream, "first")
    return clone.upgrade()


def _check(clone: Clone, done: dict[str, str], comment: str) -> None:
    """The newer code has trained on the user's data with the user's parameters; all of it is committed."""
    assert {name: (clone.root / name).read_bytes() for name in clone.own} == clone.own
    assert (clone.root / CODE).read_text(encoding="utf-8").endswith(f"# {comment}\n")
    assert clone.git("status", "--short") == ""
    assert clone.git("ls-files", "dvc.lock").strip() == "dvc.lock"
    assert "up to date" in dvc(clone.root, "status")
    ran = done[".venv/bin/dvc repro"]
    assert re.findall(r"> bin/headstart (\w+)", ran)[0] == "train"
    assert "Stage 'features' didn't change" in ran


def test_the_first_upgrade_keeps_data_results_and_parameters(
    clone: Clone, first: dict[str, str], in_common: Path
) -> None:
    merged = first["git merge --no-ff --no-commit FETCH_HEAD"]
    assert "CONFLICT (modify/delete): dvc.lock" in merged
    assert re.search(r"CONFLICT .*params\.yaml", merged)
    _check(clone, first, "first")


@pytest.mark.usefixtures("first")
def test_later_upgrades_have_no_conflict_in_results(clone: Clone, in_common: Path) -> None:
    trained = _head(clone)
    _publish(clone.upstream, "second")
    second = clone.upgrade()
    merged = second["git merge --no-ff --no-commit FETCH_HEAD"]
    assert "dvc.lock" not in merged
    assert re.search(r"CONFLICT .*params\.yaml", merged)
    _check(clone, second, "second")
    assert _head(clone) == trained  # the same training by other code


def _head(clone: Clone) -> str:
    """Digest of the head in dvc.lock."""
    outs = YAML(typ="safe").load(clone.root / "dvc.lock")["stages"]["train"]["outs"]
    return next(out["md5"] for out in outs if out["path"] == "artifacts/head.safetensors")


@pytest.mark.usefixtures("first")
def test_what_the_user_changed_elsewhere_is_named(clone: Clone, in_common: Path) -> None:
    """A conflict in code stops the sequence before anything is committed."""
    (clone.root / CODE).write_text("# the user's\n", encoding="utf-8")
    _publish(clone.upstream, "third")
    clone.git("commit", "--quiet", "--all", "--message", "own code")
    before = clone.git("rev-parse", "HEAD")
    *merging, committing = commands()[:5]
    for line in merging:
        clone.typed(line)
    said = clone.typed(committing)
    assert CODE in said
    assert "you have unmerged files" in said
    assert clone.git("rev-parse", "HEAD") == before
    clone.git("merge", "--abort")
