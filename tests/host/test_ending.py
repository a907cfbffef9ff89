"""SIGTERM and SIGINT end a command and what it started, in one line and with the usual status."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import wait_for
from projects import ROOT

from headstart.cli import project
from headstart.orchestration.command import run_as_command

SIGNALS = [(signal.SIGTERM, 143, "SIGTERM"), (signal.SIGINT, 130, "SIGINT")]
STAGE = """
    import sys
    from pathlib import Path
    from headstart.host.ending import ended_by_signals
    from headstart.repository.stage_run import run_stage

    with ended_by_signals("run"):
        run_stage("train", Path(sys.argv[2]).write_text, print, python=sys.argv[1])
"""


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """SIGINT as in a terminal: a shell's background jobs ignore it, and hand that on to their children."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(("sign", "status", "name"), SIGNALS)
def test_a_stage_ends_with_the_command_that_started_it(
    sign: signal.Signals, status: int, name: str, tmp_path: Path
) -> None:
    program, told = tmp_path / "python", tmp_path / "pid"
    program.write_text("#!/bin/sh\necho $$\nexec sleep 60\n")
    program.chmod(0o755)
    command = [sys.executable, "-c", textwrap.dedent(STAGE), str(program), str(told)]
    process = subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": str(ROOT / "src")}, stderr=subprocess.PIPE, text=True
    )
    wait_for(lambda: told.exists() and told.read_text(), 60)
    process.send_signal(sign)
    _, said = process.communicate(timeout=60)
    assert process.returncode == status
    assert said == f"\nheadstart run: ended by {name}\n"
    assert not Path(f"/proc/{told.read_text().strip()}").exists()


@pytest.mark.parametrize(("sign", "status", "name"), SIGNALS)
def test_a_flow_ends_in_one_line(
    sign: signal.Signals, status: int, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        run_as_command(lambda: signal.raise_signal(sign))
    assert ended.value.code == status
    assert capsys.readouterr().err == f"\nheadstart run: ended by {name}\n"
    assert signal.getsignal(signal.SIGTERM) == before


def test_run_becomes_the_flow_so_that_a_signal_reaches_it(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    became: list[list[str]] = []
    monkeypatch.setattr(project, "enter_tree", lambda: tree)
    monkeypatch.setattr(project.os, "execve", lambda program, command, settings: became.append(command))
    for given in ([], ["--json"]):
        project._run_flow(project.argparse.Namespace(json=bool(given)))
        assert became.pop() == [sys.executable, str(tree / "flows/training.py"), *given]
