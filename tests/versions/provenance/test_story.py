"""Two versions are made, everything but the remotes is deleted, and both are reproduced bit by bit."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from projects import GIT, commit, draw_images, dvc, edit_params, headstart, repro, run
from servers import mlflow_server
from templates import make_trained

pytestmark = pytest.mark.server
HEAD = "artifacts/head.safetensors"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MlflowClient]:
    with mlflow_server(tmp_path / "server") as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        yield MlflowClient(address, address)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with its own code, and a git remote that has its first commit."""
    return make_project(tmp_path)


def make_project(folder: Path) -> Path:
    tree = folder / "project"
    make_trained(tree, linked=False)
    edit_params(tree, **{"register.thresholds.accuracy": 0.0, "register.thresholds.balanced_accuracy": 0.0})
    edit_params(tree, **{"repository.push_refs": True})
    run(tree, *GIT, "commit", "--quiet", "--message", "a test's settings", "--", "params.yaml")
    run(tree.parent, "git", "init", "--quiet", "--bare", "--initial-branch=main", "origin")
    run(tree, "git", "remote", "add", "origin", "../origin")
    run(tree, "git", "push", "--quiet", "--set-upstream", "origin", "main")
    return tree


def report(root: Path, version: int) -> dict[str, object]:
    found: dict[str, object] = json.loads(
        (root / f"reports/reproductions/headstart-{version}.json").read_text()
    )
    return found


def change_everything(project: Path) -> None:
    """Add, remove, relabel and rename images; commit code without pushing; leave a parameter uncommitted."""
    draw_images(project / "data", {"extra": 4}, seed=5)
    for path in sorted((project / "data/extra").iterdir()):
        path.rename(project / "data/light" / f"new-{path.name}")
    (project / "data/extra").rmdir()
    (project / "data/dark/001.png").unlink()
    (project / "data/dark/002.png").rename(project / "data/light/moved.png")
    (project / "data/dark/003.png").rename(project / "data/dark/renamed.png")
    dvc(project, "add", "--quiet", "data")
    splits = project / "src/headstart/pipeline/data/splits.py"
    text = splits.read_text()
    assert 'f"{seed}:{key}"' in text
    splits.write_text(text.replace('f"{seed}:{key}"', 'f"{seed};{key}"'))
    commit(project)
    edit_params(project, **{"train.lr": 0.02})


@pytest.fixture(scope="module")
def two_versions(common: Path) -> Iterator[str]:
    """Address of a server with two versions, of which only remotes remain; `common/project` is a clone."""
    with pytest.MonkeyPatch.context() as patch, mlflow_server(common / "server") as address:
        patch.setenv("MLFLOW_TRACKING_URI", address)
        project = make_project(common)
        out = headstart(project, "run")
        assert "version 1 registered" in out
        assert "sent to git remote origin" in out
        shutil.copy(project / HEAD, common / "first")
        change_everything(project)
        assert "version 2 registered" in headstart(project, "run", status=3)  # too few images are new to both
        shutil.copy(project / HEAD, common / "second")
        dvc(project, "get", ".", HEAD, "--rev", "refs/versions/headstart/1", "-o", str(common / "again"))
        _forget_the_second_commit(common / "origin")
        shutil.rmtree(project)
        for name in ("store", "dvc"):
            shutil.rmtree(common / name)
        run(common, "git", "clone", "--quiet", "origin", "project")
        assert not (project / ".dvc" / "cache").exists()
        yield address


@pytest.fixture
def clone(two_versions: str, in_common: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The clone, as the tests before left it."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", two_versions)
    return in_common / "project"


def test_dvc_gets_an_earlier_head_by_the_versions_ref(clone: Path, common: Path) -> None:
    assert (common / "again").read_bytes() == (common / "first").read_bytes()
    assert (common / "first").read_bytes() != (common / "second").read_bytes()


def test_a_version_is_made_again_from_the_remotes_alone(clone: Path) -> None:
    said = headstart(clone, "reproduce", "models:/headstart/1")
    assert "this clone" in said
    assert "Verdict                  identical\n" in said
    assert "48 images went through the network now" in said


def test_a_version_is_made_again_from_the_bundle_if_no_remote_has_its_commit(
    clone: Path, two_versions: str, common: Path
) -> None:
    said = headstart(clone, "reproduce", "models:/headstart/2", "--tag")
    assert "from the bundle of the record" in said
    assert "Uncommitted changes      applied" in said
    assert "Verdict                  identical\n" in said
    found = report(clone, 2)
    assert found["verdict"] == "identical"
    assert found["partial"] is False
    assert found["stages_run"] == ["preprocess", "features", "inspect", "train", "evaluate"]
    outs = found["outs"]
    assert isinstance(outs, list)
    assert all(out["recorded"] == out["again"] for out in outs)
    client = MlflowClient(two_versions, two_versions)
    assert client.get_model_version("headstart", "2").tags["reproduced"] == "identical"
    assert not list((common / "store" / "reproductions").iterdir())


def test_a_version_is_made_again_from_one_stage_on(clone: Path) -> None:
    said = headstart(clone, "reproduce", "models:/headstart/2", "--from", "train")
    assert "went through the network" not in said
    assert "Verdict                  identical (partial: from train on)" in said
    assert (clone / "reports/reproductions/headstart-2-from-train.json").exists()


def test_the_lineage_names_all_that_made_a_version(clone: Path) -> None:
    said = headstart(clone, "lineage", "models:/headstart/2")
    for part in ("uncommitted changes", "dark", "random (seed 0)", "refs/runs/", "train.lr", ": accuracy "):
        assert part in said
    headstart(clone, "lineage", "models:/headstart/2", "--html", "page.html")
    assert "random (seed 0)" in (clone / "page.html").read_text()


def test_a_comparison_names_every_change(clone: Path) -> None:
    said = headstart(clone, "compare", "models:/headstart/1", "models:/headstart/2")
    assert "added 4: light/new-000.png (light), light/new-001.png" in said
    assert "removed 1: dark/001.png (dark)" in said
    assert "relabelled 1: light/moved.png (dark -> light)" in said
    assert "dark: 24 -> 22" in said
    assert "brightness: middle: 0." in said
    assert "light: 24 -> 29" in said
    assert "train.lr: 0.05 -> 0.02" in said
    assert "changed src/headstart/pipeline/data/splits.py" in said
    page = (clone / "reports/comparisons/headstart-1..headstart-2.html").read_text()
    assert "light/moved.png" in page


def _forget_the_second_commit(origin: Path) -> None:
    """Remove the second commit from the remote, so that only the bundle in MLflow has it."""
    refs = run(
        origin, "git", "for-each-ref", "--format=%(refname)", "refs/runs", "refs/versions"
    ).stdout.split()
    assert len(refs) == 4
    for ref in refs:
        run(origin, "git", "update-ref", "-d", ref)
    run(origin, "git", "gc", "--quiet", "--prune=now")


def test_code_that_gives_other_results_each_time_is_found_out(project: Path, server: MlflowClient) -> None:
    training = project / "src/headstart/pipeline/training/one_head.py"
    text = training.read_text()
    seeded = "runtime.make_deterministic(settings.seed)"
    clock = "settings = settings.changed(lr=__import__('time').time() % 0.1)"
    assert seeded in text
    training.write_text(text.replace(seeded, f"{seeded}; {clock}"))
    repro(project)
    assert "version 1 registered" in headstart(project, "register")
    said = headstart(project, "reproduce", "models:/headstart/1", status=4)
    assert "First difference         stage train: artifacts/head.safetensors" in said
    assert "Verdict                  different" in said
    assert "of the same kind" in said


def test_a_record_that_was_changed_or_that_lacks_something_is_refused(
    project: Path, server: MlflowClient, tmp_path: Path
) -> None:
    repro(project)
    edit_params(project, **{"register.dirty": "refuse"})
    assert "register.dirty is refuse: commit them" in headstart(project, "register", status=1)
    commit(project)
    headstart(project, "register")
    run_id = str(server.get_model_version("headstart", "1").run_id)
    _damage(server, run_id, "record", "dvc.lock", tmp_path)
    said = headstart(project, "reproduce", f"runs:/{run_id}", status=1)
    assert "the record was changed after it was made" in said
    assert "names no model" in headstart(project, "reproduce", "champion", status=1)
    [experiment] = [found for found in server.search_experiments() if found.name == "headstart"]
    empty = server.create_run(experiment.experiment_id).info.run_id
    said = headstart(project, "lineage", empty, status=1)
    assert "its record lacks record/dvc.lock" in said


def _damage(server: MlflowClient, run_id: str, folder: str, name: str, tmp_path: Path) -> None:
    path = Path(server.download_artifacts(run_id, f"{folder}/{name}", str(tmp_path)))
    text = path.read_text()
    assert "0.05" in text
    path.write_text(text.replace("0.05", "0.07"))
    server.log_artifact(run_id, str(path), folder)


def test_what_the_remote_lacks_is_named_and_nothing_is_registered(
    project: Path, server: MlflowClient
) -> None:
    repro(project)
    dvc(project, "push", "--run-cache")
    remote = project.parent / "project-remote" / "files" / "md5"
    lists = json.loads(next(remote.glob("*/*.dir")).read_text())
    digest = lists[3]["md5"]
    (remote / digest[:2] / digest[2:]).unlink()
    assert "Everything is up to date" in dvc(project, "push")  # DVC trusts the folder's list
    said = headstart(project, "register", status=1)
    assert f"DVC remote 'local' lacks data/{lists[3]['relpath']} ({digest})" in said
    assert not server.search_registered_models()
    next(remote.glob("*/*.dir")).unlink()
    assert "version 1 registered" in headstart(project, "register")
    assert (remote / digest[:2] / digest[2:]).exists()
    dvc(project, "remote", "default", "--unset")
    edit_params(project, **{"train.lr": 0.03})
    repro(project)
    assert "dvc remote add --default" in headstart(project, "register", status=1)


def test_garbage_is_what_no_version_branch_or_run_needs(
    project: Path, server: MlflowClient, tmp_path: Path
) -> None:
    remote = tmp_path / "project-remote"
    kept = _heads(project, server)
    found = {path.name for path in remote.rglob("*") if path.is_file()}
    said = headstart(project, "gc", "--days", "0")
    assert "nothing was changed" in said
    assert {path.name for path in remote.rglob("*") if path.is_file()} == found
    assert "cache: 0 files" not in said
    said = headstart(project, "gc", "--days", "0", "--delete")
    assert "models:/headstart/2" in said
    assert "cache: 0 files" not in said
    assert "remote local: 0 files" not in said
    left = {path.parent.name + path.name for path in (remote / "files").rglob("*") if path.is_file()}
    assert set(kept.values()) & left == {kept["registered"], kept["champion that was deleted"], kept["tree"]}
    assert headstart(project, "gc", "--delete").count(": 0 files") == 2
    assert "identical" in headstart(project, "reproduce", "models:/headstart/2")
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{tmp_path}/wrong.db"
    assert "has no registered version: is MLFLOW_TRACKING_URI right?" in headstart(
        project, "gc", "--delete", status=1
    )


def _heads(project: Path, server: MlflowClient) -> dict[str, str]:
    """Digests of heads: of versions, one of them a deleted former champion, and of unregistered runs."""

    def head() -> str:
        return next(
            str(out["md5"])
            for out in _yaml(project / "dvc.lock")["stages"]["train"]["outs"]
            if out["path"] == "artifacts/head.safetensors"
        )

    found = {}
    repro(project)
    headstart(project, "register")
    found["champion that was deleted"] = head()
    edit_params(project, **{"train.lr": 0.02})
    repro(project)
    headstart(project, "register")
    found["registered"] = head()
    server.set_registered_model_alias("headstart", "champion", "2")
    edit_params(project, **{"train.lr": 0.03})
    repro(project)
    dvc(project, "push")
    found["unregistered"] = head()
    edit_params(project, **{"train.lr": 0.04})
    repro(project)
    dvc(project, "push")
    found["tree"] = head()
    server.delete_model_version("headstart", "1")
    return found


def _yaml(path: Path) -> dict[str, dict[str, dict[str, list[dict[str, object]]]]]:
    from headstart.repository.results import read_yaml

    return read_yaml(path)
