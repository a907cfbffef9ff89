"""Files of the services are their owner's alone: a database holds the addresses of webhooks."""

import os
import sys
from pathlib import Path

import pytest

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
