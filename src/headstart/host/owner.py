"""End a stage when the flow that started it ends, however that happened: nothing stays on the GPU."""

import contextlib
import os
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

OWNER = "HEADSTART_OWNER"
LOOK_SECONDS = 1.0


def started(pid: int) -> str:
    """Start time of a process as the system reports it, "" if it does not run; needed as ids are reused."""
    if Path("/proc/self/stat").exists():
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return ""
        return "" if fields[0] == "Z" else fields[19]  # proc(5): 3 state, 22 starttime
    shown = subprocess.run(["ps", "-o", "lstart=,stat=", "-p", str(pid)], capture_output=True, text=True)
    when, _, state = shown.stdout.strip().rpartition(" ")
    return "" if state.startswith("Z") else when.strip()


def start_time(since: str) -> datetime | None:
    """The time that `started` reports, in UTC; None if it reports that the process does not run."""
    if not since:
        return None
    if since.isdigit():  # ticks since the system was started
        lines = Path("/proc/stat").read_text().splitlines()
        boot = next(int(line.split()[1]) for line in lines if line.startswith("btime "))
        return datetime.fromtimestamp(boot + int(since) / os.sysconf("SC_CLK_TCK"), UTC)
    return datetime.strptime(since, "%a %b %d %H:%M:%S %Y").astimezone(UTC)  # local, from `ps`


def as_owner() -> dict[str, str]:
    """Environment variables that make a new process treat this one as its owner."""
    return {OWNER: f"{os.getpid()} {started(os.getpid())}"}


def end_with_owner() -> None:
    """End this process soon after its owner, if it has one; a background thread watches."""
    pid, _, when = os.environ.get(OWNER, "").partition(" ")
    if pid:
        threading.Thread(target=_look, args=(int(pid), when), daemon=True).start()


def end_with_parent() -> None:
    """End this process soon after the one that started it: a killed worker would leave its flow running."""
    parent = os.getppid()
    threading.Thread(target=_look, args=(parent, started(parent)), daemon=True).start()


def _look(pid: int, when: str) -> None:
    while started(pid) == when:
        time.sleep(LOOK_SECONDS)
    with contextlib.suppress(OSError):  # nobody may be left to read it
        print(f"process {pid}, the owner of this one, is gone: stopping", file=sys.stderr)
    os._exit(1)
