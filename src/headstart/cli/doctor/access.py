"""Checks of access: locks, owners of files, the mask of new files, and who can read secrets."""

import fcntl
import getpass
import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path

from headstart.cli.doctor.examination import Check, Finding, error, ok, warning
from headstart.errors import has_password
from headstart.ground.paths import cache_folder
from headstart.ground.wording import named
from headstart.host.owner import started

LOCKS = {"DVC": Path(".dvc/tmp/lock"), "a flow": Path(".dvc/tmp/headstart-flow.lock")}
DVC_USERS = Path(".dvc/tmp/rwlock")  # JSON: which process reads or writes which path
WRITTEN = (".", ".dvc", ".git", "artifacts", "reports", "mlflow", "data", ".services")
LOOKED_AT = 2000  # entries of each folder
SECRETS = (
    "mlflow/mlflow.db",
    "mlflow/mlflow.db.key",
    "mlflow/basic_auth.ini",
    "mlflow/basic_auth.db",
    ".services",
    "~/.netrc",
)
MAY_HOLD = (".dvc/config.local", "~/.config/dvc/config", "~/.prefect/profiles.toml")
SECRET_OPTIONS = (  # of DVC's remotes, its Studio and databases, then Prefect's, as whole names
    *("password", "passphrase", "token", "secret_access_key", "session_token", "sse_customer_key"),
    *("account_key", "sas_token", "connection_string", "client_secret", "gdrive_client_secret"),
    *("oss_key_secret", "prefect_api_key", "prefect_api_auth_string", "prefect_server_api_auth_string"),
    *("prefect_server_database_password", "prefect_api_database_password"),
)
SECRET = re.compile(rf"""(?im)^[ \t]*["']?(?:{"|".join(SECRET_OPTIONS)})["']?[ \t]*=""")


def locks() -> Finding:
    """Who holds the locks of DVC and of flows in this project; run before DVC is."""
    held = []
    for name, path in LOCKS.items():
        if path.exists() and _is_held(path):
            held.append(f"{name}: {_holder(path)}")
    held += [f"DVC: {_process(pid)}" for pid in _users_of_files() if _process(pid)]
    if held:
        return warning(f"held by {named(dict.fromkeys(held))}", "wait for it to end")
    return ok("free")


def umask(mask: int) -> Finding:
    """The permissions that new files do not get."""
    if mask & 0o700:
        return error(f"{mask:03o} takes permissions from you, too", "umask 022")
    if mask & 0o002:
        return ok(f"{mask:03o}")
    return warning(f"{mask:03o}: everybody on this machine may change new files", "umask 022")


def owners() -> Finding:
    """Whether this user can write what commands write, and whose files are there."""
    folders = [path for path in (*map(Path, WRITTEN), cache_folder()) if path.exists()]
    closed = [str(path) for path in folders if not os.access(path, os.W_OK | os.X_OK)]
    if closed:
        return error(f"not writable: {named(closed)}", f"chmod -R u+rwX {named(closed, 1)}")
    foreign = [str(path) for folder in folders for path in _foreign(folder)]
    if foreign:
        return warning(
            f"{len(foreign)} files of other users, first {foreign[0]}", f"sudo chown -R {getpass.getuser()} ."
        )
    return ok("all writable, and yours")


def secrets() -> Finding:
    """Whether other users can read files that hold passwords or keys, and whether git would keep one."""
    files = [Path(name).expanduser() for name in SECRETS]
    files += [path for name in MAY_HOLD if _holds_secret(path := Path(name).expanduser())]
    if home := os.environ.get("PREFECT_HOME"):
        files += [path for path in [Path(home) / "profiles.toml"] if _holds_secret(path)]
    config = Path(".dvc/config")
    if _holds_secret(config):
        return error(
            f"{config} holds a password or key, and git keeps it",
            "move it to .dvc/config.local (dvc remote modify --local), and change the password",
        )
    there = [path for path in files if path.exists()]
    if open_ones := [str(path) for path in there if path.stat().st_mode & 0o044]:
        return warning(f"others can read {named(open_ones)}", f"chmod go-rwx {' '.join(open_ones[:5])}")
    return ok(f"{len(there)} files with secrets, none readable by others")


def _is_held(path: Path) -> bool:
    """Whether another process holds a file's lock. Taking it for an instant is the only way to know."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _holder(path: Path) -> str:
    """The process that holds a file's lock, as far as the system shows it."""
    inode = str(path.stat().st_ino)
    listed = Path("/proc/locks")
    for line in listed.read_text().splitlines() if listed.exists() else []:
        fields = line.split()
        if len(fields) > 5 and fields[1] == "FLOCK" and fields[5].rpartition(":")[2] == inode:
            return _process(int(fields[4])) or "a process of another container"
    return "another process"


def _users_of_files() -> list[int]:
    """Processes that DVC has noted as readers or writers of files; some may have ended."""
    if not DVC_USERS.exists():
        return []
    noted = json.loads(DVC_USERS.read_text(encoding="utf-8") or "{}")
    readers = [entry for entries in noted.get("read", {}).values() for entry in entries]
    return [int(entry["pid"]) for entry in (*noted.get("write", {}).values(), *readers)]


def _process(pid: int) -> str:
    """A process with its command; "" if it does not run."""
    if not started(pid):
        return ""
    command = Path(f"/proc/{pid}/cmdline")
    words = command.read_text(errors="replace").split("\0") if command.exists() else []
    return f"process {pid} ({' '.join(Path(word).name for word in words if word)[:60]})"


def _foreign(folder: Path) -> Iterator[Path]:
    """Entries of a folder that belong to another user: of the first ones, as there may be millions."""
    deep: Iterator[Path] = iter(()) if folder == Path() else _within(folder)
    for path in chain((folder,), islice(deep, LOOKED_AT)):
        with suppress(FileNotFoundError):  # a stage or a server may delete it meanwhile
            if path.lstat().st_uid != os.geteuid():
                yield path


def _within(folder: Path) -> Iterator[Path]:
    """Everything in a folder; subfolders that vanish or are closed are ignored."""
    for parent, folders, files in os.walk(folder):
        yield from (Path(parent, name) for name in (*folders, *files))


def _holds_secret(path: Path) -> bool:
    if not path.is_file():
        return False
    text = path.read_text(encoding="utf-8", errors="replace")
    return bool(SECRET.search(text)) or has_password(text)


CHECKS: dict[str, Check] = {"files": owners, "secrets": secrets}
