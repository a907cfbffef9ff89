"""`headstart serve` as a program, in a project with two versions."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from processes import end
from projects import GIT, edit_params, headstart, repro, run
from templates import make_registered


def make_two_versions(root: Path, **changes: object) -> None:
    """Make a project with version 1 as the champion, whose predictions are kept, and version 2.

    Args:
        changes: of params.yaml, for version 2.
    """
    make_registered(root)
    (root / "artifacts/predictions.parquet").rename(root / "predictions.parquet")
    edit_params(root, **(changes or {"train.epochs": 13}))
    run(root, *GIT, "commit", "-qam", "another version")
    repro(root)
    headstart(root, "register")


@contextmanager
def serving(root: Path, *options: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Run the command in a project; its address and process."""
    command = [sys.executable, "-m", "headstart", "serve", "--port", "0", "--json", *options]
    server = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        yield address_of(server), server
    finally:
        end(server, 30)


def address_of(server: "subprocess.Popen[str]") -> str:
    assert server.stdout is not None
    said = ""
    for line in server.stdout:
        said += line
        if line == "}\n":
            break
    document = json.loads(said)
    assert set(document) == {"address", "page", "model", "model_version"}
    return str(document["address"])
