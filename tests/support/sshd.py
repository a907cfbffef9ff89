"""A real SSH server on loopback, for the duration of a test."""

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from servers import free_port

START_SECONDS = 30
CONFIG = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
PidFile {folder}/pid
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
"""


@dataclass(frozen=True)
class Server:
    """A server's port, and the private key that it accepts."""

    port: int
    key: Path


@contextmanager
def ssh_server(folder: Path, port: int | None = None) -> Iterator[Server]:
    """Start sshd with its own keys, wait until it listens, and stop it at the end."""
    program = shutil.which("sshd", path="/usr/sbin:/usr/bin:/sbin")
    assert program, "this test needs sshd: apt-get install openssh-server"
    make_keys(folder)
    port = port or free_port()
    (folder / "config").write_text(CONFIG.format(port=port, folder=folder))
    Path("/run/sshd").mkdir(exist_ok=True)  # sshd needs it for privilege separation
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, "-D", "-e", "-f", str(folder / "config")],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _wait_for(port, process, folder / "log")
        yield Server(port, folder / "user")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def make_keys(folder: Path) -> None:
    """Make a host key and a user key, unless they exist."""
    folder.mkdir(exist_ok=True)
    for name in ("host", "user"):
        if not (folder / name).exists():
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
            subprocess.run(command, check=True)


def _wait_for(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"sshd did not start: {log.read_text()}")
