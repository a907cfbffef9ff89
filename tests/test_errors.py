"""No message, log or traceback shows a password that an address holds."""

import logging
import sys
from pathlib import Path

import pytest
from projects import edit_params, run

from headstart.cli import main, summary
from headstart.errors import HeadstartError, LineageError, ParamsError, has_password, without_password
from headstart.ground.logs import hide_passwords
from headstart.params import load_params
from headstart.repository.programs import git

SECRET = "hunter2"
ADDRESS = f"https://ann:{SECRET}@host:5000/api"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (ADDRESS, "https://host:5000/api"),
        ("postgresql://ann:p@ss@host/db", "postgresql://host/db"),
        ("postgresql://ann:pa/ss@host/db", "postgresql://host/db"),
        (
            "see http://host:5000/#/models/headstart@champion",
            "see http://host:5000/#/models/headstart@champion",
        ),
        ("http://[::1]:5000/a@b", "http://[::1]:5000/a@b"),
        ("s3://bucket/a:b@c", "s3://bucket/a:b@c"),
        ("models:/headstart@champion", "models:/headstart@champion"),
        ("'http://a:b@h' and 'http://c:d@h'", "'http://h' and 'http://h'"),
        ("http://h/x?X-Amz-Signature=abc&part=1", "http://h/x?X-Amz-Signature=...&part=1"),
        ("http://h/x?sig=abc", "http://h/x?sig=..."),
        ("postgresql://h/db?user=a&password=b", "postgresql://h/db?user=a&password=..."),
    ],
)
def test_an_address_loses_its_login(text: str, shown: str) -> None:
    assert without_password(text) == shown
    assert without_password(shown) == shown


def test_every_error_of_ours_loses_it() -> None:
    assert str(HeadstartError(f"no answer from {ADDRESS}")) == "no answer from https://host:5000/api"


def test_an_error_of_git_loses_it(tmp_path: Path) -> None:
    run(tmp_path, "git", "init", "--quiet")
    run(tmp_path, "git", "remote", "add", "origin", f"ftp://ann:{SECRET}@127.0.0.1:1/project")
    with pytest.raises(LineageError) as caught:
        git("fetch", f"xyz://ann:{SECRET}@127.0.0.1:1/project", folder=tmp_path)
    assert SECRET not in str(caught.value)


@pytest.fixture
def hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logs without passwords, for this test."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    factory = logging.getLogRecordFactory()
    monkeypatch.setattr(logging, "_logRecordFactory", factory)
    hide_passwords()


@pytest.mark.usefixtures("hidden")
def test_logs_of_any_library_lose_it(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("some.library")
    logger.warning("cannot reach %s", ADDRESS)
    try:
        raise ValueError(ADDRESS)
    except ValueError:
        logger.exception("failed")
    logger.warning("%s of %s", 1, 2)
    assert SECRET not in caplog.text
    assert "cannot reach https://host:5000/api" in caplog.text
    assert "ValueError: https://host:5000/api" in caplog.text
    assert caplog.records[-1].args == (1, 2)


@pytest.mark.usefixtures("hidden")
def test_a_traceback_loses_it(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise ValueError(ADDRESS)
    except ValueError:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
    assert "ValueError: https://host:5000/api" in capsys.readouterr().err


def test_show_names_the_server_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", ADDRESS)
    assert summary._server() == "https://host:5000/api"


def test_params_refuse_a_password(tree: Path) -> None:
    edit_params(tree, **{"data.source": ADDRESS})
    with pytest.raises(ParamsError, match=r"data\.source holds a password") as caught:
        load_params(tree / "params.yaml")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("text", ["sftp://ann@host/images", "s3://bucket/a:b@c", "a: b@c"])
def test_a_users_name_is_no_password(text: str) -> None:
    assert not has_password(text)


def test_the_command_line_hides_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(chosen: object) -> None:
        raise OSError(f"No space left on device: {ADDRESS}")

    monkeypatch.setattr(main, "make_parser", lambda: _Parser(fail))
    with pytest.raises(SystemExit) as ended:
        main.main([])
    assert SECRET not in str(ended.value.code)
    assert "the disk is full" in str(ended.value.code)


class _Parser:
    """Stands for a command line whose command fails."""

    command = "gate"

    def __init__(self, run: object) -> None:
        self.run = run

    def parse_args(self, arguments: object) -> "_Parser":
        return self
