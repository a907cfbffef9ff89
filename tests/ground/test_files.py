"""A reader never sees half a file, and a killed writer leaves nothing for good."""

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from headstart.ground.files import replacing, write_text

WRITER = """
import os, signal, sys
from pathlib import Path
from headstart.ground.files import replacing
with replacing(Path(sys.argv[1])) as new:
    new.write_text("of the other process")
    print(new, flush=True)
    if sys.stdin.readline() == "die":
        os.kill(os.getpid(), signal.SIGKILL)
"""


def start(path: Path) -> "subprocess.Popen[str]":
    """A process that has begun to write `path`, and continues at a line of its input."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith(str(path.parent))
    return process


def test_what_a_killed_writer_left_is_gone_after_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "features.safetensors"
    path.write_text("old")
    process = start(path)
    process.communicate("die")
    assert process.returncode == -signal.SIGKILL
    [left] = tmp_path.glob(".*")
    assert left.read_text() == "of the other process"
    assert path.read_text() == "old"
    with replacing(path) as new:
        assert new.read_text() == ""
        new.write_text("new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_running_writer_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "features.safetensors"
    process = start(path)
    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(write_text, path, "mine")
        with pytest.raises(TimeoutError):
            written.result(0.2)
        assert [left.read_text() for left in tmp_path.glob(".*")] == ["of the other process"]
        process.communicate("end")
        written.result()
    assert path.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [path]


def test_many_writers_of_one_file_leave_one_of_their_texts(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    texts = [str(number) * 10_000 for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda text: write_text(path, text), texts))
    assert path.read_text() in texts
    assert list(tmp_path.iterdir()) == [path]
