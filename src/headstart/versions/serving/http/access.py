"""Who may ask: clients with a bearer token, or anyone; and by which name the server is addressed."""

import hmac
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from headstart.host import bounded_server
from headstart.versions.serving import turns

PROBES = ("/healthz", "/readyz")  # asked by whatever watches the server
PAGE = "/"  # the page asks for a token itself


class BearerTokens:
    """Middleware that refuses requests without one of the tokens, before their body is read."""

    def __init__(self, app: ASGIApp, tokens: Sequence[str]) -> None:
        self._app = app
        self._tokens = [token.encode() for token in tokens]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _is_free(scope) or self._allows(Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        refusal = turns.error(401, "send one of this server's tokens: `Authorization: Bearer TOKEN`")
        refusal.headers["WWW-Authenticate"] = "Bearer"
        await _refuse(refusal, scope, receive, send)

    def _allows(self, headers: Headers) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        matches = [hmac.compare_digest(given.strip().encode(), token) for token in self._tokens]
        return scheme.lower() == "bearer" and any(matches)


def is_elsewhere(headers: Headers) -> bool:
    """Whether a page of another site asks, as browsers report (W3C, Fetch Metadata Request Headers)."""
    return headers.get("sec-fetch-site", "none") not in ("same-origin", "none")


def _is_free(scope: Scope) -> bool:
    """Whether a request only looks at the server: one with a body would take the place of others' bodies."""
    headers = Headers(scope=scope)
    has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
    return scope["path"] in (*PROBES, PAGE) and scope["method"] in ("GET", "HEAD") and not has_body


class OwnNames:
    """Middleware of a server on loopback: a page elsewhere whose name leads here gets no answer."""

    NAMES = ("127.0.0.1", "localhost", "[::1]")

    def __init__(self, app: ASGIApp, host: str) -> None:
        self._app, self._names = app, {*self.NAMES, host}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        host = Headers(scope=scope).get("host", "") if scope["type"] == "http" else self.NAMES[0]
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        if name in self._names:
            await self._app(scope, receive, send)
            return
        refusal = turns.error(421, f"this server answers at 127.0.0.1 and localhost, not at {host!r}")
        await _refuse(refusal, scope, receive, send)


async def _refuse(refusal: Response, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer without keeping the body; a client that is still sending it gets the answer all the same."""
    refusal.headers["Connection"] = "close"
    await bounded_server.discard(scope, receive)
    await refusal(scope, receive, send)
