"""An HTTP server with bounds on connections, time and bytes, so that no client can exhaust it."""

import asyncio
import io
import math
import resource
from contextlib import suppress
from typing import NamedTuple

import uvicorn
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from headstart.errors import HeadstartError

SECONDS = 30.0  # for a client to send a request, and to take an answer
DISCARD_SECONDS = 2.0  # for the rest of a body that is refused
CONNECTIONS = 256
FILES = 4  # that a process may open, per connection
RETRY_SECONDS = 1  # for a client that comes while all bodies together are too large
TOO_SLOW = "a request must arrive within {seconds:g} s"


class Sizes(NamedTuple):
    """Largest body of a request, and of all requests that are held at once, in bytes."""

    body: int
    bodies: int


def config(
    app: ASGIApp,
    host: str,
    port: int,
    sizes: Sizes,
    log_level: str = "info",
    connections: int = CONNECTIONS,
    seconds: float = SECONDS,
) -> uvicorn.Config:
    """Settings of a server whose app gets only requests that have arrived completely.

    Args:
        connections: held at once, if the process may open enough files.
        seconds: for the app to answer; an ending server waits as long for those that it has begun.
    """
    return uvicorn.Config(
        WholeRequests(app, sizes),
        host=host,
        port=port,
        log_level=log_level,
        http=Connection,
        ws="none",
        backlog=most_connections(connections),  # so many are accepted before any of them can be closed
        timeout_graceful_shutdown=math.ceil(seconds) + 1,
    )


def most_connections(wanted: int = CONNECTIONS) -> int:
    """Connections held at once: each takes a file of those that a process may open."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return wanted if files == resource.RLIM_INFINITY else min(wanted, files // FILES)


def allow(connections: int, setting: str) -> None:
    """Let this process open enough files for its connections.

    Args:
        setting: that asks for so many, named in the error.

    Raises:
        HeadstartError: the system allows fewer.
    """
    if most_connections(connections) == connections:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = FILES * connections
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise HeadstartError(
            f"{setting} needs {connections} connections and so {needed} open files, of which this process "
            f"may have {hard}: lower it, or raise the limit (`ulimit -Hn`)"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


class Connection(H11Protocol):
    """A connection that is closed if it stays silent, sends its request slowly, or takes no answer.

    If there are too many, the one that has been without a complete request for longest is closed.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._timer: asyncio.TimerHandle | None = None
        self._wait()
        if len(self.connections) > self.config.backlog:
            self._close_longest_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._wait()

    def _wait(self) -> None:
        """Begin to wait for the next request; the last answer has to be taken by then too."""
        if self._timer is not None:
            self._timer.cancel()
        self._since = self.loop.time()
        self._timer = self.loop.call_later(SECONDS, self._expire)

    def _expire(self) -> None:
        if not self._lacks_head():
            return  # `WholeRequests` waits for the body
        if self.conn.trailing_data[0] and not self.transport.is_closing():
            text = TOO_SLOW.format(seconds=SECONDS)
            head = f"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: {len(text)}"
            self.transport.write(f"{head}\r\n\r\n{text}".encode())
        self.transport.abort()

    def _lacks_head(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _close_longest_waiting(self) -> None:
        incomplete = [
            other
            for other in self.connections
            if isinstance(other, Connection) and (other._lacks_head() or other.cycle.more_body)
        ]
        oldest = min(incomplete, key=lambda other: other._since)
        self.connections.discard(oldest)
        oldest.transport.abort()


class WholeRequests:
    """Middleware that reads a request's body before the app is called, and refuses slow and large ones."""

    def __init__(self, app: ASGIApp, sizes: Sizes) -> None:
        self._app, self._sizes = app, sizes
        self._held = 0  # bytes of all bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body, begun = io.BytesIO(), _Begun(send)
        try:
            answer = await self._arrival(scope, receive, body)
            await answer(scope, _replayed(body.getvalue(), receive), begun)
        except asyncio.CancelledError:  # nothing but the server's end cancels a request
            if not begun.has_begun:
                await _refusal(503, "the server ends; try again later")(scope, receive, send)
        finally:
            self._held -= body.tell()

    async def _arrival(self, scope: Scope, receive: Receive, body: io.BytesIO) -> ASGIApp:
        """Read the body; return what answers: the app, or a refusal."""
        try:
            async with asyncio.timeout(SECONDS):
                has_arrived = await self._read(scope, receive, body)
        except TimeoutError:
            return _refusal(408, TOO_SLOW.format(seconds=SECONDS))
        except _Refused as error:
            if not error.is_complete:
                await discard(scope, receive)
            return _refusal(error.status, str(error))
        return self._app if has_arrived else _silence

    async def _read(self, scope: Scope, receive: Receive, body: io.BytesIO) -> bool:
        """Fill `body`; return False if the client went away.

        Raises:
            _Refused: this body is too large, or all together are.
        """
        self._check(int(dict(scope["headers"]).get(b"content-length", b"0")), is_complete=False)
        is_complete = False
        while not is_complete:
            message = await receive()
            if message["type"] == "http.disconnect":
                return False
            self._held += body.write(message.get("body", b""))
            is_complete = not message.get("more_body", False)
            self._check(body.tell(), is_complete)
        return True

    def _check(self, size: int, is_complete: bool) -> None:
        if size > self._sizes.body:
            text = f"a request has at most {self._sizes.body} bytes; send it in parts"
            raise _Refused(413, text, is_complete)
        if self._held > self._sizes.bodies:
            raise _Refused(503, "the server holds too many requests; try again later", is_complete)


class _Refused(Exception):
    def __init__(self, status: int, text: str, is_complete: bool) -> None:
        super().__init__(text)
        self.status, self.is_complete = status, is_complete


class _Begun:
    """Sends messages, and knows whether there was one."""

    def __init__(self, send: Send) -> None:
        self._send, self.has_begun = send, False

    async def __call__(self, message: Message) -> None:
        self.has_begun = True
        await self._send(message)


async def discard(scope: Scope, receive: Receive) -> None:
    """Let a client send the rest of its body, for a moment: many read no answer before.

    One that waits to be asked for the body (`Expect: 100-continue`) is not asked.
    """
    if b"100-continue" in (value.lower() for name, value in scope["headers"] if name == b"expect"):
        return
    with suppress(TimeoutError, asyncio.CancelledError):  # the server ends: the refusal is sent at once
        async with asyncio.timeout(DISCARD_SECONDS):
            while (await receive()).get("more_body", False):
                continue


def _refusal(status: int, text: str) -> ASGIApp:
    headers = {"connection": "close"}  # the rest of the body is not read
    if status == 503:
        headers["retry-after"] = str(RETRY_SECONDS)
    return PlainTextResponse(text, status, headers)


async def _silence(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer nothing: the client is gone."""


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Deliver the whole body at once, then what `receive` reports about the connection."""
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return first.pop() if first else await receive()

    return replay
