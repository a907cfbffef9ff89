"""A simulated host: a worker with its own clone, DVC cache and settings."""

import getpass
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from projects import ROOT, commit, draw_images, make_repository, make_tree, run
from sshd import Server

from headstart.host.project import QUIET


@dataclass(frozen=True)
class Host:
    """A worker's clone, and everything else that a host has of its own."""

    clone: Path
    pool: str

    @property
    def log(self) -> Path:
        return self.clone.parent / "worker.log"

    @property
    def checkpoints(self) -> Path:
        return self.clone.parent / "store" / "checkpoints"

    @property
    def environment(self) -> dict[str, str]:
        own = self.clone.parent
        others = ("PREFECT_", "HEADSTART_", "MLFLOW_")  # set by the user who runs the test
        kept = {name: value for name, value in os.environ.items() if not name.startswith(others)}
        return {
            **kept,
            **QUIET,
            "HEADSTART_CACHE": str(own / "store"),
            "DVC_SITE_CACHE_DIR": str(own / "dvc"),
            "PREFECT_HOME": str(own / "prefect"),
            "HEADSTART_PYTHON": sys.executable,
            "HEADSTART_CLONE": str(self.clone),
            "PYTHONPATH": os.pathsep.join((str(self.clone / "src"), str(self.clone))),
            "PREFECT_WORKER_QUERY_SECONDS": "2",
        }

    def dvc(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "dvc", *arguments]
        done = subprocess.run(command, cwd=self.clone, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def use_key(self, key: Path) -> None:
        """Set the private key for the DVC remote, in `.dvc/config.local`, outside git."""
        self.dvc("remote", "modify", "--local", "local", "keyfile", str(key))

    def stages(self) -> list[int]:
        """Processes of DVC and of stages that run in the clone."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and (entry / "cwd").resolve() == self.clone.resolve():
                    line = (entry / "cmdline").read_text().replace("\0", " ")
                    if " -m headstart " in line or " -m dvc repro" in line:
                        found.append(int(entry.name))
            except OSError:
                continue
        return found


def make_author(folder: Path, sshd: Server) -> Path:
    """A project with its own code, pushed to a bare repository, with its data on a remote over SSH."""
    author, remote = folder / "author", folder / "on a third host"
    make_tree(author, linked=False)
    for name in ("prefect.yaml", "automations.yaml"):
        shutil.copy(ROOT / name, author)
    draw_images(author / "data", {"dark": 24, "light": 24})
    make_repository(author)
    remote.mkdir()
    url = f"ssh://{getpass.getuser()}@127.0.0.1:{sshd.port}{remote}"
    author_host = Host(author, "")
    author_host.dvc("remote", "add", "--force", "--default", "local", url)
    author_host.use_key(sshd.key)
    author_host.dvc("push", "--quiet")
    commit(author)
    run(folder, "git", "clone", "--quiet", "--bare", str(author), "origin.git")
    run(author, "git", "remote", "add", "origin", str(folder / "origin.git"))
    return author


def make_host(own: Path, pool: str, sshd: Server) -> Host:
    own.mkdir()
    run(own, "git", "clone", "--quiet", str(own.parent / "origin.git"), "clone")
    host = Host(own / "clone", pool)
    host.use_key(sshd.key)
    return host


def deploy(author: Path, addresses: dict[str, str]) -> None:
    """Deploy as a person does, from a shell whose environment names no worker's clone."""
    settings = {
        name: value for name, value in Host(author, "").environment.items() if name != "HEADSTART_CLONE"
    }
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"],
        cwd=author,
        env={**settings, **addresses},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout


def start_worker(host: Host, settings: dict[str, str]) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", host.pool, "--limit", "1"]
    with host.log.open("wb") as log:
        return subprocess.Popen(
            command,
            cwd=host.clone,
            env={**host.environment, **settings},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
