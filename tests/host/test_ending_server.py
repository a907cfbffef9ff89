"""A server ends within its time: requests may end, nothing that hangs holds it, a second signal ends it."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

import pytest
from projects import ROOT

PROGRAM = """
    import asyncio, threading, time
    from starlette.applications import Starlette
    from starlette.responses import Response
    from starlette.routing import Route
    from headstart.host import bounded_server, ending, ending_server

    ending_server.GRACE = 0.5

    async def soon(request):
        await asyncio.sleep(0.5)
        return Response("soon")

    async def never(request):
        await asyncio.sleep(600)

    async def hang(request):
        threading.Thread(target=time.sleep, args=(600,)).start()
        await asyncio.sleep(600)

    routes = [Route("/" + each.__name__, each) for each in (soon, never, hang)]
    sizes = bounded_server.Sizes(1000, 1000)
    config = bounded_server.config(Starlette(routes=routes), "127.0.0.1", 0, sizes, "error")
    config.timeout_graceful_shutdown = 1
    bound = ending_server.listen(config)
    print(bound.getsockname()[1], flush=True)
    with ending.ended_by_signals("serve"):
        ending_server.EndingServer(config).run(sockets=[bound])
"""
Server = tuple["subprocess.Popen[str]", Callable[[str], tuple[int, str]]]


@pytest.fixture
def server() -> Iterator[Server]:
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROGRAM)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    port = process.stdout.readline().strip()

    def ask(path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    yield process, ask
    process.kill()
    process.communicate()


def ended(server: Server, path: str, signals: int = 1) -> tuple[list[object], float, int, str]:
    """Signal a server that works on a request: its answer, the seconds until the end, status and errors."""
    process, ask = server
    said: list[object] = []

    def keep() -> None:
        try:
            said.append(ask(path))
        except OSError as error:
            said.append(type(error))

    client = threading.Thread(target=keep)
    client.start()
    time.sleep(0.3)  # until it is begun
    began = time.monotonic()
    for _ in range(signals):
        process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
    if signals == 1:
        with pytest.raises(OSError):  # noqa: PT011  # refused, or closed
            ask("soon")
    status = process.wait(30)
    seconds = time.monotonic() - began
    client.join(30)
    assert process.stderr is not None
    errors = process.stderr.read()
    assert "Traceback" not in errors
    return said, seconds, status, errors


def test_requests_that_were_begun_are_answered(server: Server) -> None:
    said, _, status, _ = ended(server, "soon")
    assert (said, status) == ([(200, "soon")], 143)


def test_a_request_without_an_answer_is_refused_in_the_end(server: Server) -> None:
    said, seconds, status, _ = ended(server, "never")
    assert (said, status) == ([(503, "the server ends; try again later")], 143)
    assert 1 <= seconds < 20


def test_a_thread_that_hangs_does_not_hold_the_process(server: Server) -> None:
    _, seconds, status, errors = ended(server, "hang")
    assert status == 143
    assert "ended by SIGTERM: requests were left" in errors
    assert 1 <= seconds < 20


def test_a_second_signal_waits_for_nothing(server: Server) -> None:
    said, seconds, status, _ = ended(server, "never", signals=2)
    assert status == 143
    assert seconds < 1
    assert said != [(200, "")]
