"""A real PostgreSQL on loopback, for the duration of a test."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from servers import free_port

USER, PASSWORD = "headstart", "a-p@ssword/of%a-test"
SETTINGS = "-p {port} -c listen_addresses=127.0.0.1 -c fsync=off -c unix_socket_directories=''"


@dataclass(frozen=True)
class Server:
    """A server's address and the folder of its programs."""

    port: int
    programs: Path

    def address(self, driver: str, database: str) -> str:
        """A database's URL for SQLAlchemy."""
        secret = quote(PASSWORD, safe="")
        return f"postgresql+{driver}://{USER}:{secret}@127.0.0.1:{self.port}/{database}"

    def create(self, database: str) -> None:
        """Create an empty database, owned by a user without further rights."""
        self.run("createdb", f"--owner={USER}", database, user="postgres")

    def run(self, program: str, *arguments: str, user: str = USER) -> str:
        """Run psql, pg_dump or another client, and return its output."""
        command = [str(self.programs / program), "--host=127.0.0.1", f"--port={self.port}"]
        environment = {**os.environ, "PGPASSWORD": PASSWORD}
        done = subprocess.run(
            [*command, f"--username={user}", *arguments], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def ask(self, database: str, query: str) -> list[str]:
        """Run a query, and return its rows as text."""
        found = self.run("psql", "--no-align", "--tuples-only", "--command", query, database)
        return found.splitlines()


@contextmanager
def postgres_server() -> Iterator[Server]:
    """Start a server in its own folder, readable by a user other than root, and stop it at the end."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    assert found, "this test needs a PostgreSQL server: apt-get install postgresql"
    programs, port = found[-1], free_port()
    folder = Path(tempfile.mkdtemp(prefix="headstart-postgres-"))
    try:
        (folder / "password").write_text(PASSWORD)
        if os.geteuid() == 0:
            for path in (folder, folder / "password"):
                shutil.chown(path, "postgres", "postgres")
        log, data = folder / "log", str(folder / "data")
        secret = ["--auth=scram-sha-256", f"--pwfile={folder / 'password'}", "--username=postgres"]
        _as_postgres(programs / "initdb", "--no-sync", *secret, data, log=log)
        settings = SETTINGS.format(port=port)
        _as_postgres(programs / "pg_ctl", "-D", data, "-w", "-l", str(log), "-o", settings, "start", log=log)
        try:
            server = Server(port, programs)
            role = f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'"
            server.run("psql", "--quiet", f"--command={role}", "postgres", user="postgres")
            yield server
        finally:
            _as_postgres(programs / "pg_ctl", "-D", data, "-w", "-m", "immediate", "stop", log=log)
    finally:
        shutil.rmtree(folder)


def _as_postgres(program: Path, *arguments: str, log: Path) -> None:
    """Run a program as the user postgres if this is root, because the server refuses to run as root."""
    user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*user, str(program), *arguments],
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert done.returncode == 0, done.stderr + (log.read_text() if log.exists() else "")
