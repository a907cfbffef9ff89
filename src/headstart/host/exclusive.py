"""One process at a time per accelerator of this host, whether from a flow, `dvc repro` or another clone."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

FOLDER = Path("/tmp/headstart-accelerators")
_held: list[FileLock] = []  # until the process ends


def hold(names: Sequence[str], say: Callable[[str], None], folder: Path = FOLDER) -> None:
    """Lock accelerators for the rest of this process, waiting for those that another process holds.

    The system releases them when the process ends, even if it is killed; no server is involved.

    Args:
        names: names of the accelerators, unique on the host; empty on a machine without any.
        say: called with a message before each wait.
        folder: the folder of the lock files, the same for everyone on the host.
    """
    if not names:
        return
    folder.mkdir(exist_ok=True)
    if folder.stat().st_mode & 0o777 != 0o777:
        folder.chmod(0o777)
    for name in sorted(names):  # always in the same order, so that no two processes wait for each other
        waits = f"waiting for accelerator {name}, held by another process"
        _held.append(acquire(FileLock(folder / f"{name}.lock", mode=0o666), partial(say, waits)))


def acquire(lock: FileLock, on_wait: Callable[[], None]) -> FileLock:
    """Take a lock; if another process holds it, call `on_wait` before waiting."""
    try:
        lock.acquire(timeout=0)
    except Timeout:
        on_wait()
        lock.acquire()
    return lock
