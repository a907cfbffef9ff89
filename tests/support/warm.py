"""A warm interpreter: a process that has imported the large libraries and forks one child per command.

Most tests only need a project that has been trained, or a command's answer. Importing torch, MLflow and
Great Expectations takes several seconds of each such process; a fork of this one has them at once. The child
has the caller's folder, environment, standard streams and signals; none of the project's own code is imported
before the fork. A test of how processes end, or of bytes made again by another process, starts a plain one.
"""

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import runpy
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

CLIENT = Path(__file__).with_name("warm_client.py")
PYTHON = """#!/bin/sh
case "$1 $2" in
"-m headstart" | "-m dvc" | flows/*.py* | */flows/*.py* | "-P "*/answering.py)
    exec {python} -I -S {client} {socket} "$@"
    ;;
esac
exec {python} "$@"
"""
IMPORTED = [
    "torch",
    "torchvision",
    "torch._dynamo",
    "safetensors.torch",
    "numpy",
    "pandas",
    "PIL.Image",
    "pyarrow.parquet",
    "pyarrow.dataset",
    "scipy.special",
    "scipy.stats",
    "sklearn.linear_model",
    "sklearn.metrics",
    "great_expectations",
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
    "mlflow",
    "mlflow.tracking",
    "mlflow.pyfunc",
    "mlflow.store.db.utils",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_store",
    "alembic.command",
    "sqlalchemy",
    "dvc.repo",
    "dvc.cli.parser",
    "dvc.commands.repro",
    "scmrepo.git",
    "filelock",
    "ruamel.yaml",
    "tqdm",
]


@functools.cache
def python() -> str:
    """Start the process, which ends with this one; an interpreter that asks it, and runs all else as ever."""
    folder = Path(tempfile.mkdtemp(prefix="warm-"))
    program, address = folder / "python", folder / "socket"
    program.write_text(PYTHON.format(python=sys.executable, client=CLIENT, socket=address))
    program.chmod(0o755)
    quiet = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    server = subprocess.Popen([sys.executable, __file__, address], env=quiet, stdin=subprocess.PIPE)
    assert server.stdin is not None
    atexit.register(shutil.rmtree, folder)
    atexit.register(server.stdin.close)
    return str(program)


def serve(listener: socket.socket) -> Callable[[], None]:
    """Answer until standard input is closed; returns in a child alone, with what it has to run."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [])
        if listener not in ready:
            sys.exit()
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            return keep(connection)
        connection.close()


def keep(connection: socket.socket) -> Callable[[], None]:
    """Fork once more; the parent sends the child's id and status, and ends it with a caller that is gone."""
    head, streams, _, _ = socket.recv_fds(connection, 8, 3)
    [length] = struct.unpack("!Q", head)
    with connection.makefile("rb") as file:
        request = json.loads(file.read(length))
    child = os.fork()
    if child == 0:
        connection.close()
        os.setpgid(0, 0)
        return become(request, streams)
    for stream in streams:
        os.close(stream)
    handle = os.pidfd_open(child)
    connection.sendall(struct.pack("!q", child))
    ended, _, _ = select.select([handle, connection], [], [])
    if handle not in ended:  # the caller is gone
        os.killpg(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    with contextlib.suppress(OSError):
        connection.sendall(struct.pack("!q", os.waitstatus_to_exitcode(status)))
    os._exit(0)


def become(request: dict[str, object], streams: list[int]) -> Callable[[], None]:
    """Take over the caller's streams, folder, environment and arguments."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(str(request["folder"]))
    os.environ.clear()
    os.environ.update(request["environment"])  # type: ignore[call-overload]
    sys.executable = str(Path(sys.argv[1]).with_name("python"))
    sys.argv = list(request["arguments"])  # type: ignore[call-overload]
    places = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    importlib.invalidate_caches()
    if sys.argv[0] == "-m":
        module = sys.argv[1]
        sys.argv = [module, *sys.argv[2:]]
        sys.path[:0] = [str(Path.cwd()), *places]
        return lambda: runpy.run_module(module, run_name="__main__", alter_sys=True)
    safe = sys.argv[0] == "-P"
    if safe:
        del sys.argv[0]
    script = sys.argv[0]
    sys.path[:0] = places if safe else [str(Path(script).resolve().parent), *places]
    return lambda: runpy.run_path(script, run_name="__main__")


def run(start: Callable[[], None]) -> NoReturn:
    """Run as an interpreter does, but leave its memory to the system: taking it apart takes a second."""
    status = 0
    try:
        start()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads, as an interpreter does
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    del sys.path[0]
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(sys.argv[1] + ".new")
        bound.listen(64)
        for name in IMPORTED:
            importlib.import_module(name)
        gc.freeze()  # a collection in a child would copy every page
        Path(sys.argv[1] + ".new").rename(sys.argv[1])
        start = serve(bound)
    run(start)
