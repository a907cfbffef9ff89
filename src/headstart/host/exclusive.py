"""One process at a time on an accelerator of this host, whoever asks: a flow, `dvc repro`, another clone."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

FOLDER = Path("/tmp/headstart-accelerators")
_held: list[FileLock] = []  # until the process ends


def hold(names: Sequence[str], say: Callable[[str], None], folder: Path = FOLDER) -> None:
    """Take accelerators for the rest of this process, and wait for those that another one has.

    The system frees them when the process ends, a killed one too; no server is asked.

    Args:
        names: of the accelerators, unique on the host; none on a machine without.
        say: told what is waited for.
        folder: where the lock files are, the same for everyone on the host.
    """
    if not names:
        return
    folder.mkdir(exist_ok=True)
    if folder.stat().st_mode & 0o777 != 0o777:
        folder.chmod(0o777)
    for name in sorted(names):  # all in one order: two that wait for each other cannot be
        waits = f"waits for accelerator {name}, which another process has"
        _held.append(acquire(FileLock(folder / f"{name}.lock", mode=0o666), partial(say, waits)))


def acquire(lock: FileLock, on_wait: Callable[[], None]) -> FileLock:
    """Take a lock; `on_wait` is called first where another process has it."""
    try:
        lock.acquire(timeout=0)
    except Timeout:
        on_wait()
        lock.acquire()
    return lock
