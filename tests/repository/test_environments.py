"""A version's environment is this one if it matches the lock; otherwise one is built from the lock."""

import platform
import re
import subprocess
from importlib import metadata
from pathlib import Path

import pytest
from projects import ROOT

from headstart.errors import LineageError
from headstart.repository import environments

HERE = platform.python_version()


def test_this_environment_is_what_the_committed_lock_makes() -> None:
    assert environments.differences(ROOT / "requirements.lock", HERE) == {}


def test_another_version_another_python_and_a_lacking_package_are_differences(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.write_text(
        f"numpy=={metadata.version('numpy')} \\\n    --hash=sha256:00\n"
        "pillow==1.0 ; python_version >= '3' \\\n"
        "nothing-of-the-kind==2.0\nonly-on-windows==1.0 ; sys_platform == 'win32' \\\n"
    )
    assert environments.differences(lock, "3.2.1") == {
        "python": ("3.2.1", HERE),
        "pillow": ("1.0", metadata.version("pillow")),
        "nothing-of-the-kind": ("2.0", "none"),
    }


@pytest.mark.slow
def test_an_environment_is_made_of_a_lock_and_kept(tmp_path: Path) -> None:
    text = (ROOT / "requirements.lock").read_text()
    package = re.search(r"^tqdm==.*?(?=^[a-z])", text, re.MULTILINE | re.DOTALL)
    assert package is not None
    lock = tmp_path / "requirements.lock"
    lock.write_text(re.sub(r"^ +# .*\n", "", package[0], flags=re.MULTILINE))
    python = environments.python_of(lock, HERE)
    said = subprocess.run(
        [python, "-c", "import tqdm; print(tqdm.__version__)"], capture_output=True, text=True
    )
    assert said.stdout.strip() == metadata.version("tqdm"), said.stderr
    assert environments.python_of(lock, HERE) == python
    with pytest.raises(LineageError, match="the recorded environment cannot be built: venv"):
        environments.python_of(lock, "3.2.1")
    lock.write_text("tqdm==4.67.1 --hash=sha256:" + "0" * 64 + "\n")
    with pytest.raises(LineageError, match="--environment current"):
        environments.python_of(lock, HERE)
