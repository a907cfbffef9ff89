"""`headstart doctor`: each check sees what is wrong, alone, in bounded time, without a change or a secret."""

import fcntl
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from projects import draw_images, edit_params, make_repository

from headstart.cli.doctor import access, machine, project, servers
from headstart.cli.doctor.examination import Finding, examine, ok
from headstart.cli.main import main
from headstart.errors import HeadstartError, LineageError, RemoteUnreachable
from headstart.host import owner
from headstart.host.bounded_process import run_bounded
from headstart.repository import stores
from headstart.repository.stores import Settings


@pytest.fixture
def here(tree: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder without a repository, as the working folder."""
    monkeypatch.chdir(tree)
    return tree


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_an_error_or_a_delay_is_the_finding_of_its_check_alone() -> None:
    def refuses() -> Finding:
        raise HeadstartError("no answer at https://me:secret@host/x?token=abc\nat all")

    def breaks() -> Finding:
        raise KeyError("gone")

    def hangs() -> Finding:
        time.sleep(30)
        return ok("never")

    before = time.monotonic()
    checks = {"refuses": refuses, "breaks": breaks, "hangs": hangs, "works": lambda: ok("fine")}
    found = examine(checks, seconds=0.5)
    assert time.monotonic() - before < 5
    assert found.findings["works"] == ok("fine")
    assert found.findings["refuses"].found == "no answer at https://host/x?token=... at all"
    assert found.findings["breaks"].found == "KeyError: 'gone'"
    assert found.findings["hangs"].status == "warning"
    assert found.has_errors
    assert found.as_text().splitlines()[-1] == "2 errors, 1 warnings"
    document = found.as_dict()
    assert (document["errors"], document["warnings"]) == (2, 1)
    assert [each["check"] for each in document["checks"]] == list(checks)


def test_a_program_that_takes_too_long_is_killed_with_its_children(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    script = f"sleep 60 & echo $! > {pid}; wait"
    with pytest.raises(TimeoutError, match="no answer in 1 s"):
        run_bounded(["sh", "-c", script], 1.0)
    until = time.monotonic() + 10
    while (still := owner.started(int(pid.read_text()))) and time.monotonic() < until:
        time.sleep(0.05)
    assert still == ""
    assert run_bounded(["sh", "-c", "echo out; exit 3"], 10.0).returncode == 3


def test_packages_that_are_not_as_locked_are_named(here: Path) -> None:
    assert machine.packages().status == "ok"
    lock = here / "requirements.lock"
    lock.write_text("numpy==0.1 \\\n    --hash=sha256:00\nno-such-package==1 \\\n    --hash=sha256:00\n")
    found = machine.packages()
    assert found.status == "warning"
    assert found.found.startswith("2 of 2 are not as locked: numpy ")
    assert "no-such-package none, locked 1" in found.found
    assert found.mend == "rm .venv/installed && make install"


def test_a_full_disk_is_an_error(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "HEADSTART_CACHE" in machine.disk().found
    monkeypatch.setattr(machine, "LITTLE", 1e18)
    assert machine.disk().status == "warning"
    monkeypatch.setattr(machine, "TOO_LITTLE", 1e18)
    assert machine.disk().status == "error"


def test_another_python_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine.python().status == "ok"
    monkeypatch.setattr(machine.platform, "python_version", lambda: "3.10.1")
    assert machine.python().status == "error"


def test_git_and_its_identity(here: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.delenv("EMAIL", raising=False)
    for part in ("NAME", "EMAIL"):
        monkeypatch.delenv(f"GIT_COMMITTER_{part}", raising=False)
    assert project.git().status == "error"
    subprocess.run(["git", "init", "--quiet"], check=True)
    assert project.identity().status == "warning"
    for key, value in (("name", "A"), ("email", "a@example.org")):
        subprocess.run(["git", "config", f"user.{key}", value], check=True)
    assert project.identity().found == "A <a@example.org>"
    assert project.git().found == "the repository has no commit yet"
    assert project.clock().status == "ok"
    later = {**os.environ, "GIT_COMMITTER_DATE": f"@{int(time.time()) + 7200} +0000"}
    made = ["git", "commit", "--quiet", "--allow-empty", "--message", "first"]
    subprocess.run(made, check=True, env=later)
    assert project.git().status == "ok"
    found = project.clock()
    assert found.status == "warning"
    assert found.found.startswith(("it is 2:00:0", "it is 1:59:"))


@pytest.mark.parametrize(
    ("problem", "status", "words"),
    [
        (None, "ok", "far, ssh://host/srv"),
        (TimeoutError("no answer in 5 s"), "warning", "unknown: far, ssh://host/srv: no answer in 5 s"),
        (ConnectionRefusedError("Connection refused"), "error", "Connection refused"),
        (RemoteUnreachable("dvc ls-url: no route to ssh://me:secret@host"), "error", "no route"),
    ],
)
def test_a_remote_that_refuses_is_an_error_and_a_slow_one_unknown(
    problem: Exception | None, status: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings("far", "ssh://me:secret@host/srv", Path("cache"), ("copy",), None)
    monkeypatch.setattr("headstart.repository.stores.settings_of", lambda folder: settings)

    def dvc(*arguments: str, **_: object) -> str:
        assert arguments == ("ls-url", "remote://far")
        if problem is not None:
            raise problem
        return "files/"

    monkeypatch.setattr("headstart.repository.setup.dvc", dvc)
    found = examine({"remote": project.remote}).findings["remote"]
    assert found.status == status
    assert words in found.found
    assert "secret" not in found.found


@pytest.mark.parametrize(
    ("wanted", "working", "status", "words"),
    [
        (("reflink", "copy"), ("reflink", "copy"), "ok", "files by reflink"),
        (("reflink", "copy"), ("hardlink", "copy"), "ok", "hard links would save space"),
        (("symlink",), ("symlink", "copy"), "warning", "which MLflow refuses"),
        (("hardlink",), ("symlink", "copy"), "error", "none of hardlink works"),
        (("reflink", "copy"), None, "ok", "empty"),
    ],
)
def test_links_between_cache_and_project(
    wanted: tuple[str, ...],
    working: tuple[str, ...] | None,
    status: str,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = Settings("local", "there", tmp_path / "cache", wanted, working)
    monkeypatch.setattr("headstart.repository.stores.settings_of", lambda folder: settings)
    found = project.cache()
    assert found.status == status
    assert words in found.found


def test_params_that_lack_keys_are_a_warning_and_what_dvc_needs_is_an_error(here: Path) -> None:
    assert project.params() == ok("params.yaml is complete")
    text = (here / "params.yaml").read_text()
    (here / "params.yaml").write_text(text[: text.index("monitor:")])
    found = project.params()
    assert found.status == "warning"
    assert found.found == "params.yaml lacks monitor, repository: their defaults are used"
    assert found.mend == "headstart upgrade"
    (here / "params.yaml").write_text(text[: text.index("evaluate:")].replace("  layout: ", "  # "))
    found = project.params()
    assert found.status == "error"
    assert found.found == "params.yaml lacks data.layout, evaluate: DVC stops without what dvc.yaml lists"
    assert found.mend == "headstart upgrade"


def test_weights_are_there_and_have_their_digest(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "random, seed" in project.weights().found
    weights = here / "weights.pth"
    digest = hashlib.sha256(b"weights").hexdigest()
    edit_params(here, **{"backbone.weights": "weights.pth", "backbone.sha256": digest})
    with pytest.raises(HeadstartError, match=r"there is no file weights\.pth"):
        project.weights()
    params = (here / "params.yaml").read_text()
    (here / "params.yaml").write_text("nothing: 1\n")
    assert project.weights().found == "unknown: params.yaml cannot be read"
    (here / "params.yaml").write_text(params)
    weights.write_bytes(b"weights")
    assert project.weights() == ok(f"weights.pth, digest {digest[:12]}")
    weights.write_bytes(b"others")
    assert project.weights().status == "error"
    os.utime(weights, (0, 0))
    (here / "artifacts").mkdir()
    (here / "artifacts/backbone.safetensors").touch()
    recorded = {"source": f"weights.pth (sha256 {digest[:12]})"}
    monkeypatch.setattr(project, "_metadata", lambda path: recorded)
    assert project.weights().found.endswith("as checked by the stage backbone")  # by its record, not again


def test_servers_that_do_not_answer_are_errors(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert servers.mlflow().status == "ok"
    address = f"127.0.0.1:{closed_port()}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@{address}")
    monkeypatch.setenv("PREFECT_API_URL", f"http://{address}/api")
    for found in (servers.mlflow(), servers.prefect()):
        assert found.status == "error"
        assert f"http://{address}" in found.found
        assert "secret" not in found.found
    assert "named by PREFECT_API_URL" in servers.prefect().found


def test_a_server_of_another_version_is_a_warning() -> None:
    answer = servers._answer("mlflow", "http://x", lambda: "OK", lambda: "1.0")
    assert answer.status == "warning"
    assert "answers with version 1.0" in answer.found


def test_a_port_of_another_program_is_a_warning(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr(servers, "PORTS", {"prefect": port})
        found = servers.ports()
        assert found.status == "warning"
        assert f"{port} taken by another program" in found.found
        assert "--prefect-port PORT" in str(found.mend)
    monkeypatch.setattr(servers, "PORTS", {"prefect": closed_port()})
    assert servers.ports().status == "ok"


def test_the_holder_of_a_lock_is_named(here: Path) -> None:
    assert access.locks() == ok("free")
    lock = here / ".dvc/tmp/headstart-flow.lock"
    lock.parent.mkdir(parents=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        found = access.locks()
    assert found.status == "warning"
    assert found.found.startswith("held by a flow: ")
    ended = subprocess.Popen([sys.executable, "-c", "pass"])
    ended.wait()
    users = {"write": {"a": {"pid": ended.pid, "cmd": "dvc repro"}}, "read": {}}
    (here / ".dvc/tmp/rwlock").write_text(json.dumps(users))
    assert access.locks() == ok("free")
    users["read"] = {"b": [{"pid": os.getpid(), "cmd": "dvc repro"}]}  # type: ignore[dict-item]
    (here / ".dvc/tmp/rwlock").write_text(json.dumps(users))
    assert f"process {os.getpid()} (" in access.locks().found


def test_the_mask_of_new_files() -> None:
    assert [access.umask(mask).status for mask in (0o022, 0o077, 0o000, 0o777)] == [
        *("ok", "ok", "warning", "error")
    ]


def test_secrets_that_others_can_read_are_named(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(here))
    monkeypatch.delenv("PREFECT_HOME", raising=False)
    key = here / "mlflow/mlflow.db.key"
    key.write_text("key")
    key.chmod(0o644)
    found = access.secrets()
    assert found == Finding(
        "warning", "others can read mlflow/mlflow.db.key", "chmod go-rwx mlflow/mlflow.db.key"
    )
    key.chmod(0o600)
    assert access.secrets().found == "1 files with secrets, none readable by others"
    (here / ".dvc").mkdir()
    (here / ".dvc/config").write_text("['remote \"r\"']\n    url = s3://b\n    secret_access_key = hidden\n")
    found = access.secrets()
    assert found.status == "error"
    assert "hidden" not in found.found


@pytest.mark.parametrize(
    ("line", "is_secret"),
    [
        *((f"    {option} = x", True) for option in ("password", "sas_token", "oss_key_secret", "token")),
        ('PREFECT_API_KEY = "x"', True),
        ('"PREFECT_SERVER_API_AUTH_STRING"="x"', True),
        ("    url = https://me:hidden@host/x", True),
        *((f"    {option} = true", False) for option in ("ask_password", "ask_passphrase")),
        ("    exclude_shared_token_cache_credential = true", False),
        ("    bearer_token_command = pass show token", False),
        ("    access_key_id = x", False),
        ("    url = ssh://host/password = x", False),
        ("# password = none", False),
        ('PREFECT_API_URL = "http://host/api"', False),
    ],
)
def test_options_that_hold_secrets_are_known_by_name(tmp_path: Path, line: str, is_secret: bool) -> None:
    config = tmp_path / "config"
    config.write_text(f"['remote \"r\"']\n{line}\n")
    assert access._holds_secret(config) == is_secret


def test_every_secret_option_of_dvc_and_prefect_is_known() -> None:
    from dvc.config_schema import REMOTE_SCHEMAS
    from prefect.settings import Settings

    found = {
        str(name)
        for schema in REMOTE_SCHEMAS.values()
        for name, kind in schema.items()
        if kind is str and re.search("password|passphrase|secret|token|(account|customer)_key$", str(name))
    }
    found |= {name.lower() for name in secrets_of(Settings, "prefect")}
    addresses = {"prefect_server_database_connection_url"}  # its password is found as that of an address
    assert found - set(access.SECRET_OPTIONS) == {"bearer_token_command", *addresses}


def secrets_of(settings: Any, prefix: str) -> Iterator[str]:
    """Names of Prefect's settings whose values it hides."""
    for name, field in settings.model_fields.items():
        if hasattr(field.annotation, "model_fields"):
            yield from secrets_of(field.annotation, f"{prefix}_{name}")
        elif "Secret" in str(field.annotation):
            yield f"{prefix}_{name}"


def test_files_that_vanish_are_ignored(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = here / "artifacts/parts"
    folder.mkdir(parents=True)
    (here / "artifacts/left").touch()
    (folder / "gone").touch()
    monkeypatch.setattr(access.os, "geteuid", lambda: 12345)
    found = []
    for path in access._foreign(here / "artifacts"):
        found.append(path.relative_to(here).as_posix())
        if folder.exists():
            shutil.rmtree(folder)
    assert found == ["artifacts", "artifacts/left"]


@pytest.mark.parametrize(
    "said",
    ["'data' is busy, it is being blocked by:\n  (PID 7): dvc repro", "Unable to acquire lock. Most likely"],
)
def test_stages_are_unknown_while_another_process_works(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    def stale(**_: object) -> dict[str, Any]:
        raise LineageError(f"dvc status: ERROR: {said}")

    monkeypatch.setattr(project.repository, "stale", stale)
    found = project.stages()
    assert (found.status, found.mend) == ("warning", "wait for it to end")
    monkeypatch.setattr(project, "BUSY", ())
    with pytest.raises(LineageError):
        project.stages()


def test_files_of_other_users_are_named(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert access.owners().status == "ok"
    monkeypatch.setattr(access.os, "geteuid", lambda: 12345)
    assert "files of other users, first ." in access.owners().found


def test_a_project_is_examined_and_left_as_it_is(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    draw_images(here / "data", {"dark": 2, "light": 2})
    make_repository(here)
    for name in ("MLFLOW_TRACKING_URI", "PREFECT_API_URL"):
        monkeypatch.delenv(name, raising=False)

    def state() -> dict[str, int]:
        kept = (path for path in here.rglob("*") if "tmp" not in path.parts[len(here.parts) :])
        return {str(path): path.lstat().st_mtime_ns for path in kept if not path.is_dir()}

    before = state()
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--json"])
    document = json.loads(capsys.readouterr().out)
    found = {each["check"]: each for each in document["checks"]}
    assert {"Python", "packages", "accelerator", "DVC remote", "stages", "locks", "umask"} <= found.keys()
    assert found["git"]["status"] == found["params"]["status"] == found["DVC cache"]["status"] == "ok"
    assert found["stages"]["found"] == "there are no results yet"
    assert found["stages"]["status"] == found["DVC remote"]["status"] == "warning"
    assert ended.value.code == (1 if document["errors"] else 0)
    assert state() == before


def test_outside_of_a_project_the_machine_is_examined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(machine, "CHECKS", {"Python": machine.python})
    with pytest.raises(SystemExit) as ended:
        main(["doctor"])
    assert ended.value.code == 1
    said = capsys.readouterr().out
    assert "ok       Python" in said
    assert "is not in a Headstart project" in said
    assert said.endswith("1 errors, 0 warnings\n")


def test_checks_of_dvc_side_by_side_leave_the_umask(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DVC sets it to 0 while it makes a folder."""
    make = os.makedirs

    def slowly(*given: Any, **options: Any) -> None:
        time.sleep(0.05)
        make(*given, **options)

    draw_images(here / "data", {"dark": 2, "light": 2})
    make_repository(here)
    monkeypatch.setattr(os, "makedirs", slowly)
    before = os.umask(0o027)
    try:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda _: stores.settings_of(here), range(4)))
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
