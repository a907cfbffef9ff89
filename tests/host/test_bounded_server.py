"""No client can exhaust a server: not by silence, nor slowly, nor with many connections or large bodies."""

import resource
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from servers import in_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from headstart.errors import HeadstartError
from headstart.host import bounded_server
from headstart.host.bounded_server import Sizes

HEAD = b"POST / HTTP/1.1\r\nHost: here\r\n"
LONG = 30_000_000  # bytes of an answer: more than the buffers of a connection hold


class App:
    """Answers with its request's size; waits at `/wait` until it may go on, and answers much at `/long`."""

    def __init__(self) -> None:
        self.began, self.may_end = threading.Semaphore(0), threading.Event()

    def size(self, request: Request) -> Response:
        return Response(str(request.headers["content-length"]))

    def wait(self, request: Request) -> Response:
        self.began.release()
        self.may_end.wait(30)
        return Response("waited")

    def long(self, request: Request) -> Response:
        return Response(b"x" * LONG)

    def asgi(self) -> Starlette:
        routes = [("/", self.size), ("/wait", self.wait), ("/long", self.long)]
        return Starlette(routes=[Route(path, do, methods=["POST"]) for path, do in routes])


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def connect(app: App, request: pytest.FixtureRequest) -> Iterator[Callable[[bytes], socket.socket]]:
    """Opens a connection to a server and sends some bytes; the server holds 256, or the parameter."""
    most = getattr(request, "param", bounded_server.CONNECTIONS)
    settings = bounded_server.config(app.asgi(), "127.0.0.1", 0, Sizes(1000, 1500), "warning", most)
    with in_thread(settings) as port, ExitStack() as opened:

        def open_one(sent: bytes) -> socket.socket:
            client = opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
            client.sendall(sent)
            return client

        yield open_one
        app.may_end.set()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_server, "SECONDS", 0.3)
    monkeypatch.setattr(bounded_server, "DISCARD_SECONDS", 0.2)


def post(size: int, path: str = "/", sent: int | None = None) -> bytes:
    head = HEAD.replace(b"/", path.encode(), 1) + f"Content-Length: {size}\r\n\r\n".encode()
    return head + b"x" * (size if sent is None else sent)


def answer(client: socket.socket) -> bytes:
    """All that the server sends until it closes the connection, or the first part of an answer."""
    try:
        return client.recv(65536)
    except ConnectionResetError:
        return b""


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"", b""),
        (HEAD, b"HTTP/1.1 408"),
        (post(10, sent=3), b"HTTP/1.1 408"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", b"HTTP/1.1 408"),
    ],
)
def test_a_request_that_does_not_arrive_is_not_waited_for(
    connect: Callable[[bytes], socket.socket], sent: bytes, expected: bytes
) -> None:
    client = connect(sent)
    assert answer(client)[: len(b"HTTP/1.1 408")] == expected
    while answer(client):
        continue


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "sent",
    [
        post(1001, sent=0),
        post(1001),
        post(10_000_000),
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n400\r\n" + b"x" * 1024,
    ],
)
def test_a_large_body_is_refused(connect: Callable[[bytes], socket.socket], sent: bytes) -> None:
    assert answer(connect(sent)).startswith(b"HTTP/1.1 413")
    assert answer(connect(post(1000))).startswith(b"HTTP/1.1 200")


def test_all_bodies_together_are_bounded(connect: Callable[[bytes], socket.socket], app: App) -> None:
    held = connect(post(900, "/wait"))
    assert app.began.acquire(timeout=30)
    assert answer(connect(post(900))).startswith(b"HTTP/1.1 503")
    app.may_end.set()
    assert answer(held).startswith(b"HTTP/1.1 200")
    assert answer(connect(post(900))).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("connect", [4], indirect=True)
def test_a_new_client_takes_the_place_of_the_one_that_waits_longest(
    connect: Callable[[bytes], socket.socket], app: App
) -> None:
    at_work = connect(post(1, "/wait"))
    assert app.began.acquire(timeout=30)
    slow = [connect(post(10, sent=1) if number % 2 else HEAD) for number in range(20)]
    assert answer(connect(post(5))).startswith(b"HTTP/1.1 200")
    assert [answer(client) for client in slow[:17]] == [b""] * 17
    app.may_end.set()
    assert answer(at_work).startswith(b"HTTP/1.1 200")


@pytest.mark.usefixtures("quick")
def test_a_client_that_takes_no_answer_is_left(connect: Callable[[bytes], socket.socket]) -> None:
    client = connect(post(1, "/long"))
    client.settimeout(30)
    threading.Event().wait(2.0)  # it has 0.3 s
    taken = 0
    while piece := answer(client):
        taken += len(piece)
    assert taken < LONG


def test_a_connection_serves_one_request_after_another(connect: Callable[[bytes], socket.socket]) -> None:
    client = connect(post(1) + post(2))
    said = b""
    while said.count(b"HTTP/1.1 200") < 2 or not said.endswith(b"2"):
        said += client.recv(65536)


def test_few_files_mean_few_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (64, 64))
    assert bounded_server.most_connections() == 16
    with pytest.raises(HeadstartError, match=r"--max-queue needs 192 connections and so 768 open files"):
        bounded_server.allow(192, "--max-queue")


def test_a_process_may_open_more_files_for_more_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = [(64, resource.RLIM_INFINITY)]
    monkeypatch.setattr("resource.getrlimit", lambda _: limits[-1])
    monkeypatch.setattr("resource.setrlimit", lambda _, given: limits.append(given))
    bounded_server.allow(192, "--max-queue")
    assert bounded_server.most_connections(192) == 192


@pytest.mark.usefixtures("quick")
def test_a_client_that_asks_before_it_sends_a_large_body_gets_the_refusal(
    connect: Callable[[bytes], socket.socket],
) -> None:
    asking = HEAD + b"Expect: 100-continue\r\nContent-Length: 10000000\r\n\r\n"
    assert answer(connect(asking)).startswith(b"HTTP/1.1 413")
