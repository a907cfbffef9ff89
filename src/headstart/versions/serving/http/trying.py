"""The page to try a model at /, and its doors: /explain and /card."""

from importlib.resources import files
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

from headstart.errors import ArgumentError
from headstart.pipeline.data.reading import shown
from headstart.pipeline.explanation.similar import Nearest
from headstart.pipeline.pages.html import data_uri, fragment, page_css, script_digest
from headstart.versions.serving import turns
from headstart.versions.serving.http import items
from headstart.versions.serving.http import trying_documents as documents
from headstart.versions.serving.http.access import PAGE, is_elsewhere
from headstart.versions.serving.http.documents import PREDICT
from headstart.versions.serving.http.live import Live, LiveVersion
from headstart.versions.serving.http.looking import NOTHING, Evidence
from headstart.versions.serving.http.refusing import refusing
from headstart.versions.serving.http.settings import WAITING
from headstart.versions.serving.turns import Turns

EXPLAINED = 1  # requests to /explain at once
POLICY = (
    "default-src 'none'; script-src '{}'; style-src '{}'; img-src data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def explaining_turns(seconds: float) -> Turns:
    """The turns of /explain: one at a time, beside those of other doors.

    Args:
        seconds: as in `Turns`.
    """
    return Turns(EXPLAINED, WAITING, seconds)


def add_page(app: FastAPI, model: str, live: Live, explaining: Turns) -> None:
    """Add the page and its doors.

    Args:
        model: as it was given to the command.
        explaining: see `explaining_turns`.
    """
    text, policy = page()

    @app.get(PAGE, response_class=HTMLResponse)
    async def trying() -> Response:
        """A page to try the model; it asks for a token itself."""
        return HTMLResponse(text, headers={**HEADERS, "Content-Security-Policy": policy})

    @app.get("/card", responses={200: {"model": documents.CardShown}, **documents.FOR_THE_PAGE})
    async def card(request: Request) -> Response:
        """The model card of the version that answers."""
        return _elsewhere() if is_elsewhere(request.headers) else _card(model, live.current)

    @app.post("/explain", openapi_extra=PREDICT, responses=documents.EXPLAIN)
    async def explain(request: Request) -> Response:
        """Classify one image, given as for /predict, and show the evidence for the answer."""
        if is_elsewhere(request.headers):
            return _elsewhere()
        body, kind = await request.body(), request.headers.get("content-type", "")

        def work() -> Response:
            with live.version() as version:
                return _explained(model, version, _only(items.items_of(body, kind, 1)), explaining)

        return await explaining.answer(request, lambda: refusing("/explain", work))


def page() -> tuple[str, str]:
    """The page, and its Content-Security-Policy, which allows its own script and style alone."""
    own = files(__package__)
    script, css = own.joinpath("trying.js").read_text("utf-8"), own.joinpath("trying.css").read_text("utf-8")
    style = page_css() + css
    text = fragment(__package__, "trying.html.j2", {}, script=script, style=style)
    return text, POLICY.format(script_digest(script), script_digest(style))


def _card(model: str, version: LiveVersion) -> Response:
    own = version.card
    document = {
        "model": model,
        "model_version": version.version,
        "markdown": own.markdown,
        "content": own.content,
        "why_not": own.why_not,
    }
    return JSONResponse(document, headers=HEADERS)


def _only(given: list[items.Item]) -> items.Item:
    if len(given) != 1:
        raise ArgumentError(f"the request has {len(given)} images, expected 1; /predict takes several")
    return given[0]


def _explained(model: str, version: LiveVersion, item: items.Item, explaining: Turns) -> Response:
    """Answer in a thread of `explaining`."""
    row, evidence = version.explain(item, items.reader(version.served), explaining.given_up)
    document = {
        "model": model,
        "model_version": version.version,
        "answer": items.named_answer(item, row),
        **_shown(evidence or NOTHING),
    }
    return JSONResponse(document, headers=HEADERS)


def _shown(evidence: Evidence) -> dict[str, Any]:
    return {
        "picture": _jpeg(evidence.picture),
        "overlay": _jpeg(evidence.overlay),
        "why_no_overlay": evidence.why_no_overlay,
        "nearest": [_near(each) for each in evidence.nearest],
        "why_no_nearest": evidence.why_no_nearest,
    }


def _near(near: Nearest) -> dict[str, Any]:
    return {
        "path": shown(near.path),
        "label": near.label,
        "similarity": near.similarity,
        "thumbnail": _jpeg(near.thumbnail_jpeg),
    }


def _jpeg(data: bytes | None) -> str | None:
    return None if data is None else data_uri(data, "image/jpeg")


def _elsewhere() -> Response:
    return turns.error(403, "only this server's own page and programs may ask, not a page of another site")
