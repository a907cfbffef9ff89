"""The DVC remote over SSH, with a real server: one host gets another's results without computing."""

import getpass
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from projects import commit, dvc, edit_params, headstart, run
from sshd import Server, ssh_server

pytestmark = pytest.mark.server


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Server]:
    with ssh_server(tmp_path / "sshd") as server:
        yield server


def test_a_second_clone_takes_everything_from_the_remote(
    repository: Path, sshd: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = tmp_path / "on the other host"
    remote.mkdir()
    url = f"ssh://{getpass.getuser()}@127.0.0.1:{sshd.port}{remote}"
    dvc(repository, "remote", "add", "--force", "--default", "local", url)
    dvc(repository, "remote", "modify", "--local", "local", "keyfile", str(sshd.key))
    out = headstart(repository, "run")
    assert "version 1 registered" in out
    commit(repository)
    lock = (repository / "dvc.lock").read_bytes()
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "other store"))
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "other dvc"))

    second = tmp_path / "second"
    run(tmp_path, "git", "clone", "--quiet", str(repository), str(second))
    dvc(second, "remote", "modify", "--local", "local", "keyfile", str(sshd.key))
    said = dvc(second, "repro", "--pull")
    assert "Running stage" not in said
    assert run(second, "git", "status", "--short").stdout == ""
    assert (second / "artifacts/head.safetensors").read_bytes() == (
        repository / "artifacts/head.safetensors"
    ).read_bytes()

    third = tmp_path / "third"  # it has no dvc.lock, only the run-cache
    run(tmp_path, "git", "clone", "--quiet", str(repository), str(third))
    dvc(third, "remote", "modify", "--local", "local", "keyfile", str(sshd.key))
    (third / "dvc.lock").unlink()
    said = dvc(third, "repro", "--pull")
    assert "Running stage" not in said
    assert (third / "dvc.lock").read_bytes() == lock

    gone = next((remote / "files" / "md5").glob("*/*.dir"))
    gone.unlink()
    edit_params(repository, **{"train.lr": 0.02})
    out = headstart(repository, "run")
    assert "version 2 registered" in out
    assert gone.exists()  # sent again, although DVC remembered it as present
    shutil.rmtree(remote)
    edit_params(repository, **{"train.lr": 0.03})
    remote.write_text("no folder")
    said = headstart(repository, "run", status=1)
    assert "dvc push" in said
    assert "version 3" not in said
