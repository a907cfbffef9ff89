"""Errors of the system that a setting mends end a command in one line, which names the setting."""

import errno
from types import SimpleNamespace

import pytest

from headstart.cli import main
from headstart.ground.refusals import explained


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/a"), "the disk is full"),
        (PermissionError(errno.EACCES, "Permission denied", "/store/rows"), "set HEADSTART_CACHE"),
        (RuntimeError("/store/rows: Read-only file system"), "set HEADSTART_CACHE"),
        (PermissionError(errno.EACCES, "Permission denied", "/home/x/.prefect/db"), "set PREFECT_HOME"),
        (OSError(errno.EROFS, "Read-only file system", "reports/new"), "writes into its project: make /"),
    ],
)
def test_the_setting_is_named(error: Exception, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADSTART_CACHE", "/store")
    assert said in str(explained(error))


def test_other_errors_keep_their_traceback() -> None:
    assert explained(FileNotFoundError(errno.ENOENT, "No such file or directory", "x")) is None


def test_a_command_ends_with_that_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(chosen: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/nonexistent")

    monkeypatch.setenv("HEADSTART_CACHE", "/nonexistent/.cache/headstart")
    chosen = SimpleNamespace(command="monitor", run=run)
    monkeypatch.setattr(main, "make_parser", lambda: SimpleNamespace(parse_args=lambda arguments: chosen))
    with pytest.raises(SystemExit) as ended:
        main.main([])
    assert str(ended.value) == (
        "headstart monitor: error: [Errno 13] Permission denied: '/nonexistent'; set HEADSTART_CACHE to a "
        "folder that can be written"
    )
