"""Requests that are worked on a few at a time, each within its time and only while its client waits."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive

SHOWN = 2000  # characters of an error
GONE = 499  # the client left: nobody reads the answer
RETRY_SECONDS = 1  # for a client that comes while too many wait


class Turns:
    """Runs the work of requests in threads, `at_once` at a time, the others in turn.

    Work that looks at `given_up` ends once its client is gone or its time is over; until it ends, it keeps
    its place.

    Args:
        unanswered: requests at most, with those that wait for their turn.
        seconds: for an answer, with the wait for its turn; a request without one by then is given up.
    """

    def __init__(self, at_once: int, unanswered: int, seconds: float) -> None:
        self._threads = ThreadPoolExecutor(at_once, "request")
        self._turns = asyncio.Semaphore(at_once)
        self._most, self._seconds = unanswered, seconds
        self._running = threading.local()
        self.unanswered = 0

    def given_up(self) -> threading.Event:
        """The event that is set once nobody waits for the request of this thread."""
        event: threading.Event = self._running.given_up
        return event

    async def answer(self, request: Request, work: Callable[[], Response]) -> Response:
        """Answer a request, whose body was read, or refuse it if too many wait."""
        if self.unanswered >= self._most:
            return error(503, f"{self._most} requests wait for an answer; try again later")
        self.unanswered += 1
        given_up = threading.Event()
        working = asyncio.create_task(self._in_turn(work, given_up))
        gone = asyncio.create_task(_until_gone(request.receive))
        try:
            await asyncio.wait({working, gone}, timeout=self._seconds, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
            if gone.done():
                return Response(status_code=GONE)
            return error(504, f"no answer within {self._seconds:g} s; send fewer images per request")
        finally:
            self.unanswered -= 1
            given_up.set()
            working.cancel()
            gone.cancel()

    async def _in_turn(self, work: Callable[[], Response], given_up: threading.Event) -> Response:
        await self._turns.acquire()
        loop = asyncio.get_running_loop()
        running = self._threads.submit(self._work, work, given_up)
        running.add_done_callback(lambda _: loop.call_soon_threadsafe(self._turns.release))
        return await asyncio.wrap_future(running)

    def _work(self, work: Callable[[], Response], given_up: threading.Event) -> Response:
        self._running.given_up = given_up
        return work()


async def _until_gone(receive: Receive) -> None:
    """Return when the client has closed its connection."""
    while (await receive())["type"] != "http.disconnect":
        continue


def error(status: int, text: str, code: str = "REQUEST_REFUSED") -> Response:
    """An answer in the form of MLflow's errors; one with status 503 names the time to wait."""
    shown = text[:SHOWN].encode(errors="replace").decode()
    headers = {"Retry-After": str(RETRY_SECONDS)} if status == 503 else None
    return JSONResponse({"error_code": code, "message": shown}, status, headers)
