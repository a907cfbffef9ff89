"""New images in a source folder, as nightly runs find them: fetched, trained on, and every version kept."""

import os
import shutil
import time
from pathlib import Path

import pytest
from projects import commit, draw_images, dvc, edit_params, headstart, run
from registries import versions_of
from ruamel.yaml import YAML

pytestmark = pytest.mark.server
HALF = 300  # bytes of an image that is still arriving


@pytest.fixture
def source(repository: Path, tmp_path: Path) -> Path:
    """A folder that people put images into, for a project with a linked DVC cache and a bare git remote."""
    folder = tmp_path / "source"
    shutil.copytree(repository / "data", folder)
    grow_old(folder)
    edit_params(repository, **{"data.source": str(folder), "repository.push_refs": True})
    dvc(repository, "config", "cache.type", "hardlink")
    commit(repository)
    run(tmp_path, "git", "init", "--quiet", "--bare", "--initial-branch=main", "origin")
    run(repository, "git", "remote", "add", "origin", "../origin")
    run(repository, "git", "push", "--quiet", "--set-upstream", "origin", "main")
    return folder


def grow_old(folder: Path) -> None:
    for path in folder.rglob("*.png"):
        os.utime(path, (time.time() - 7200,) * 2)


def data_ref(root: Path) -> str:
    digest = YAML(typ="safe", pure=True).load(root / "data.dvc")["outs"][0]["md5"]
    return f"refs/data/{digest.removesuffix('.dir')}"


def test_what_arrives_is_trained_on_and_every_version_of_the_data_can_be_had_again(
    repository: Path, source: Path, tmp_path: Path
) -> None:
    said = headstart(repository, "run")
    assert "0 new, 0 changed, 0 removed" in said
    assert "version 1 registered" in said
    first, before = data_ref(repository), (repository / "data/dark/000.png").read_bytes()

    draw_images(tmp_path / "more", {"dark": 3, "light": 3}, seed=7)
    for path in sorted((tmp_path / "more").rglob("*.png")):
        shutil.move(path, source / path.parent.name / f"new-{path.name}")
    whole = (source / "dark/new-002.png").read_bytes()
    shutil.copy(source / "light/new-000.png", source / "dark/000.png")
    (source / "light/new-000.png").unlink()
    (source / "light/003.png").unlink()
    grow_old(source)
    (source / "dark/new-002.png").write_bytes(whole[:HALF])
    said = headstart(repository, "run")
    assert "4 new, 1 changed, 1 removed; 1 still arriving, left for next time" in said
    assert "5 images went through the network now" in said
    assert "version 2 registered" in said
    assert not (repository / "data/dark/new-002.png").exists()
    second = data_ref(repository)

    said = headstart(repository, "run")
    assert "0 new, 0 changed, 0 removed; 1 still arriving" in said
    assert "Unchanged" in said
    assert "Running stage" not in said
    assert versions_of(repository) == ["1", "2"]

    refs = run(repository, "git", "ls-remote", "origin", "refs/data/*").stdout
    assert {line.split("\t")[1] for line in refs.splitlines()} == {first, second}
    elsewhere = tmp_path / "elsewhere"
    run(tmp_path, "git", "clone", "--quiet", "origin", str(elsewhere))
    run(elsewhere, "git", "fetch", "--quiet", "origin", "refs/data/*:refs/data/*")
    for ref, content in ((first, before), (second, (repository / "data/dark/000.png").read_bytes())):
        out = tmp_path / ref.replace("/", "-")
        remote = str(tmp_path / "project-remote")
        got = ("get", ".", "data", "--rev", ref, "--remote-config", f"url={remote}", "-o", str(out))
        dvc(elsewhere, *got)
        assert (out / "dark/000.png").read_bytes() == content
        assert (out / "light/003.png").exists() == (ref == first)


def test_a_version_of_the_data_is_kept_and_sent_though_nothing_could_be_trained(
    repository: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    edit_params(repository, **{"backbone.weights": "gone.pth", "backbone.sha256": "0" * 64})
    (source / "dark/000.png").unlink()
    remote = tmp_path / "project-remote"
    remote.write_text("no folder: nothing can be written here")
    assert "remote" in headstart(repository, "run", status=1)
    kept = data_ref(repository)
    assert kept not in run(repository, "git", "ls-remote", "origin").stdout
    remote.unlink()
    assert "there is no file gone.pth" in headstart(repository, "run", status=1)
    assert kept in run(repository, "git", "ls-remote", "origin").stdout
    assert kept.rpartition("/")[2][2:] in {path.stem for path in remote.rglob("*.dir")}


def test_a_worker_goes_on_with_the_code_and_data_of_the_newest_commit(
    repository: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit_params(repository, **{"register.thresholds.accuracy": 1.0})  # whatever is trained, it does not pass
    commit(repository)
    run(repository, "git", "push", "--quiet")
    clone = tmp_path / "worker"
    run(tmp_path, "git", "clone", "--quiet", "origin", str(clone))
    dvc(repository, "push", "--quiet")
    monkeypatch.setenv("HEADSTART_CLONE", str(clone))
    monkeypatch.setenv("HEADSTART_BRANCH", "main")
    draw_images(source, {"third": 24}, seed=3)
    grow_old(source)
    assert "24 new, 0 changed" in headstart(clone, "run", status=4)
    assert "as one class more" not in headstart(clone, "run")
    brought = data_ref(clone)

    flow = repository / "flows" / "training.py"
    first = "        data = str(bring_data().result())\n"
    assert first in flow.read_text()
    flow.write_text(flow.read_text().replace(first, '        print("as one class more", NEWER)\n' + first))
    flow.write_text(
        flow.read_text().replace(
            "from headstart.orchestration.tasks",
            "from flows.newer import NEWER\nfrom headstart.orchestration.tasks",
        )
    )
    (repository / "flows" / "newer.py").write_text("NEWER = 1\n")
    commit(repository)
    run(repository, "git", "push", "--quiet")
    said = headstart(clone, "run")
    assert "as one class more 1" in said, said
    assert "conflicts" not in said
    assert "0 new, 0 changed, 0 removed" in said  # the new commit did not discard the fetched images
    assert data_ref(clone) == brought
