"""A version's code is run if the project has it, without any credential in its environment."""

from pathlib import Path

import pytest
import warm
from mlflow.models import Model
from projects import GIT, mark_project, run

from headstart.errors import TrackingError
from headstart.ground.paths import PACKAGE
from headstart.host.plain_environment import without_credentials
from headstart.versions.registry.stored_model import StoredModel
from headstart.versions.serving import model_process, packaged_code
from headstart.versions.serving.model_process import ModelProcess
from headstart.versions.serving.packaged_code import SETTING, SHAPE, check_code
from headstart.versions.serving.packed_files import code_digest, packed_digest, packed_files
from headstart.versions.serving.signature import signature

RUN = "0" * 31 + "1"
CODE = {"served_model.py": "answer = 1\n", "code/headstart/rules.py": "rule = 1\n"}
LISTS = """import os
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

import headstart


class Lists(PythonModel):
    def predict(self, context, model_input, params=None):
        rows = [("ok", {"ok": 1.0}, "; ".join(sorted(os.environ)))]
        return pd.DataFrame(rows, columns=["label", "probabilities", "error"])


set_model(Lists())
"""


def package(folder: Path, files: dict[str, str], **changed: object) -> StoredModel:
    """A stored model with these files of code, as MLflow lays them out."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    flavor = {**SHAPE, "model_code_path": "/anywhere/served_model.py", **changed}
    Model(flavors={"python_function": flavor}).save(str(folder / "MLmodel"))
    frozen = folder / "backbone.safetensors"
    return StoredModel("models:/headstart/1", folder, RUN, folder / "head.safetensors", frozen)


def commit_code(root: Path, text: str) -> str:
    (root / "src/headstart").mkdir(parents=True, exist_ok=True)
    (root / "src/headstart/served_model.py").write_text(CODE["served_model.py"])
    (root / "src/headstart/rules.py").write_text(text)
    run(root, "git", "add", "--all")
    run(root, *GIT, "commit", "--quiet", "--message", "code")
    return run(root, "git", "rev-parse", "HEAD").stdout.strip()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    run(root, "git", "init", "--quiet", "--initial-branch=main")
    mark_project(root)
    monkeypatch.chdir(root)
    return root


def claim(monkeypatch: pytest.MonkeyPatch, commit: str) -> None:
    """Let the tracking server name this commit."""
    monkeypatch.setattr(packaged_code, "_origin", lambda model: (commit, RUN))


def test_the_code_that_runs_needs_no_commit(tmp_path: Path) -> None:
    served = (PACKAGE / "versions/serving/served_model.py").read_text()
    files = {"served_model.py": served, "code/headstart/errors.py": (PACKAGE / "errors.py").read_text()}
    check_code(package(tmp_path / "model", files))


def test_code_of_a_commit_on_a_branch_is_known(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    claim(monkeypatch, commit_code(project, CODE["code/headstart/rules.py"]))
    commit_code(project, "rule = 2\n")
    check_code(package(project / "model", CODE))


def test_code_with_uncommitted_changes_is_known_by_the_runs_ref(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = commit_code(project, "rule = 0\n")
    kept = commit_code(project, CODE["code/headstart/rules.py"])
    run(project, "git", "update-ref", f"refs/runs/{RUN}", kept)
    run(project, "git", "reset", "--quiet", "--hard", before)
    claim(monkeypatch, before)
    check_code(package(project / "model", CODE))


def test_code_on_the_git_remote_is_fetched(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit_code(project, "rule = 0\n")
    other = project.parent / "other"
    run(project, "git", "clone", "--quiet", str(project), str(other))
    claim(monkeypatch, commit_code(project, CODE["code/headstart/rules.py"]))
    monkeypatch.chdir(other)
    check_code(package(other / "model", CODE))


def test_the_package_that_a_commit_of_a_project_names_is_known(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A project without the code has a lock in git, which names the digest of what is packed."""
    model = package(project.parent / "model", CODE)
    digest = code_digest({name: model.folder / name for name in CODE})
    (project / "headstart.lock.yaml").write_text(f"serving: {digest}\n")
    claim(monkeypatch, commit_code(project, "rule = 0\n"))
    (project / "headstart.lock.yaml").write_text("serving: other\n")  # a later version of the package
    commit_code(project, "rule = 0\n")
    check_code(model)
    (model.folder / "code/headstart/more.py").write_text("rule = 'theirs'\n")
    with pytest.raises(TrackingError, match="was not run"):
        check_code(model)


def test_the_digest_in_a_lock_is_that_of_what_registration_packs(tmp_path: Path) -> None:
    files = {f"code/headstart/{name}": path.read_text() for name, path in packed_files().items()}
    files["served_model.py"] = (PACKAGE / "versions/serving/served_model.py").read_text()
    package(tmp_path, files)
    assert code_digest({name: tmp_path / name for name in files}) == packed_digest()


@pytest.mark.parametrize(
    ("added", "found"),
    [
        ({"code/headstart/rules.py": "rule = 'theirs'\n"}, "code/headstart/rules.py"),
        ({"code/torch/__init__.py": ""}, "code/torch/__init__.py"),
        ({"code/headstart/__pycache__/rules.cpython-311.pyc": ""}, "rules.cpython-311.pyc"),
        ({"served_model.py": "import os\n"}, "served_model.py"),
    ],
)
def test_other_code_is_refused_with_the_way_to_allow_it(
    added: dict[str, str], found: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim(monkeypatch, commit_code(project, CODE["code/headstart/rules.py"]))
    model = package(project / "model", {**CODE, **added})
    with pytest.raises(TrackingError, match="code that this project does not have") as refused:
        check_code(model)
    assert found in str(refused.value)
    digest = str(refused.value).partition(f"{SETTING}=")[2].split()[0]
    monkeypatch.setenv(SETTING, f"{'0' * 64}, {digest}")
    check_code(model)


def test_the_git_of_a_folder_without_a_project_is_not_asked(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim(monkeypatch, commit_code(project, CODE["code/headstart/rules.py"]))
    model = package(project / "model", CODE)
    check_code(model)
    (project / "dvc.yaml").unlink()
    monkeypatch.setattr(packaged_code.known_code, "git", None)
    with pytest.raises(TrackingError, match="not in a project whose git may have it") as refused:
        check_code(model)
    monkeypatch.setenv(SETTING, str(refused.value).partition(f"{SETTING}=")[2].split()[0])
    check_code(model)


def test_a_commit_that_no_branch_has_proves_nothing(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = commit_code(project, "rule = 0\n")
    claim(monkeypatch, commit_code(project, CODE["code/headstart/rules.py"]))
    run(project, "git", "reset", "--quiet", "--hard", before)
    with pytest.raises(TrackingError, match="code that this project does not have"):
        check_code(package(project / "model", CODE))


@pytest.mark.parametrize("commit", ["", "HEAD", "--upload-pack=touch taken", "main"])
def test_only_a_full_hash_names_a_commit(commit: str, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit_code(project, CODE["code/headstart/rules.py"])
    claim(monkeypatch, commit)
    with pytest.raises(TrackingError, match="code that this project does not have"):
        check_code(package(project / "model", CODE))
    assert not (project / "taken").exists()


@pytest.mark.parametrize(
    "changed",
    [
        {"python_model": "python_model.pkl"},
        {"loader_module": "headstart.rules"},
        {"code": "../elsewhere"},
        {"data": "elsewhere"},
        {"model_code_path": "served_model.pyc"},
    ],
)
def test_another_way_of_loading_is_refused_whatever_is_allowed(
    changed: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(TrackingError, match="its MLmodel is not as Headstart writes it"):
        check_code(package(tmp_path, CODE, **changed))


def test_a_process_does_not_start_with_other_code(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    claim(monkeypatch, commit_code(project, "rule = 0\n"))
    monkeypatch.setattr(model_process.subprocess, "Popen", None)
    monkeypatch.setattr(packaged_code.known_code, "trees", lambda *names: iter(()))
    monkeypatch.setattr(packaged_code.known_code, "digests", lambda files: [""] * len(files))
    with pytest.raises(TrackingError, match="was not run"), ModelProcess(package(project / "model", CODE)):
        pass


def test_the_process_of_a_version_has_no_credential(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"served_model.py": LISTS, "code/headstart/__init__.py": ""}
    model = package(tmp_path / "model", files)
    signed = Model.load(str(model.folder))
    signed.signature = signature()
    signed.save(str(model.folder / "MLmodel"))
    (tmp_path / "image.png").write_bytes(b"")
    names = {name: model.folder / name for name in files}
    monkeypatch.setenv(SETTING, code_digest(names))
    for name in ("MLFLOW_TRACKING_PASSWORD", "PREFECT_API_AUTH_STRING", "AWS_SECRET_ACCESS_KEY", "MY_TOKEN"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setattr(model_process.sys, "executable", warm.python())
    with ModelProcess(model) as process:
        [answer] = process.ask([(tmp_path / "image.png").as_uri()])
    seen = set((answer.error or "").split("; "))
    assert {"PATH", "HEADSTART_CACHE"} <= seen
    assert [name for name in seen if "PASSWORD" in name or "AUTH" in name or "SECRET" in name] == []
    assert "MY_TOKEN" not in seen


def test_settings_of_the_machine_pass() -> None:
    given = {"PATH": "/bin", "LC_ALL": "C", "CUDA_VISIBLE_DEVICES": "1", "OMP_NUM_THREADS": "2"}
    secret = {"MLFLOW_TRACKING_URI": "x", "HEADSTART_NOTIFY": "x", "PREFECT_API_KEY": "x", "PGPASSWORD": "x"}
    assert without_credentials({**given, **secret}) == given


def test_an_image_behind_a_url_is_read_outside_the_process(tmp_path: Path) -> None:
    import fsspec

    with fsspec.open("memory://images/one.png", "wb") as file:
        file.write(b"one")
    wanted = ["memory://images/one.png", str(tmp_path / "two.png"), "memory://images/none.png"]
    with model_process._as_files(wanted) as files:
        first, second, third = files
        assert Path(str(first)).read_bytes() == b"one"
        assert second == wanted[1]
        assert "memory://images/none.png cannot be read" in str(third)
