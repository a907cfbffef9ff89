"""The id of a request: the client's own, or a new one; the answer has it as a header."""

import re
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headstart.versions.serving.http.metrics import DOORS

HEADER = "X-Request-Id"
FORM = r"[A-Za-z0-9_.-]{1,64}"
KEY = "headstart.request_id"  # in the scope of a request


class RequestIds:
    """Middleware that gives each request for answers its id, and names it in whatever is answered."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] not in DOORS:
            await self._app(scope, receive, send)
            return
        id_ = request_id(scope)

        async def name(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = id_
            await send(message)

        await self._app(scope, receive, name)


def request_id(scope: Scope) -> str:
    """The id of a request; one that the client did not name, or not in FORM, is drawn once."""
    if KEY not in scope:
        given = Headers(scope=scope).get(HEADER, "")
        scope[KEY] = given if re.fullmatch(FORM, given) else uuid.uuid4().hex
    id_: str = scope[KEY]
    return id_
