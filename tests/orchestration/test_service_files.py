"""Files of the services are their owner's alone: a database holds the addresses of webhooks."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from headstart.errors import HeadstartError
from headstart.orchestration import services


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_service_writes_files_that_only_its_owner_can_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    services.FOLDER.mkdir(mode=0o755)  # as earlier versions made it
    services.make_own_folder()
    assert mode(services.FOLDER) == 0o700
    script = "import os; os.mkdir('prefect'); open('prefect/prefect.db', 'w').close()"
    services._spawn("prefect", [sys.executable, "-c", script], os.environ)
    os.waitpid(services.recorded()[0].pid, 0)
    assert mode(tmp_path / "prefect") == 0o700
    assert mode(tmp_path / "prefect/prefect.db") == 0o600
    assert mode(services.FOLDER / "logs/prefect.log") & 0o022 == 0


def test_a_worker_that_sends_refs_is_not_taken_for_one_that_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    services.make_own_folder()
    script = [sys.executable, "-c", "import time; time.sleep(600)"]
    try:
        services._spawn("worker cpu", script, os.environ, sends="1")
        services._spawn("worker cpu", script, os.environ, sends="1")
        [worker] = services.recorded()
        with pytest.raises(
            HeadstartError, match=r"runs with HEADSTART_PUSH_REFS=1, not 0; `make services-st"
        ):
            services._spawn("worker cpu", script, os.environ, sends="0")
        services._write(
            [replace(worker, sends="")]
        )  # as an earlier version wrote it: its workers always send
        services._spawn("worker cpu", script, os.environ, sends="1")
        with pytest.raises(HeadstartError, match="PUSH_REFS=1, not 0"):
            services._spawn("worker cpu", script, os.environ, sends="0")
    finally:
        services._end_named("worker cpu")
