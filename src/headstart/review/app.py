"""The review as a page on loopback: one finding at a time, by keyboard; each decision is written at once."""

import secrets
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from fastapi import FastAPI, Header, HTTPException, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

from headstart.errors import DataError, HeadstartError
from headstart.ground import paths
from headstart.ground.reading import load_table
from headstart.pipeline.data.shown import jpeg_of
from headstart.pipeline.inspection.checks import TITLES
from headstart.pipeline.pages.html import render
from headstart.review.fixes import Action, Decision, read_fixes, write_fixes

LONGEST = 640  # pixels of a picture's longer side
POLICY = (
    "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; script-src 'nonce-{}'; "
    "connect-src 'self'"
)


class Decided(BaseModel):
    """A decision as the page sends it; an empty action takes it back."""

    path: str
    action: Action | Literal[""]
    label: str = ""
    group: str = ""


class Review:
    """The findings, and the decisions about them."""

    def __init__(self, findings: pd.DataFrame, images: pd.DataFrame, fixes: Path) -> None:
        self._findings = findings
        self._label_of = dict(zip(images["path"], images["label"], strict=True))
        self._split_of = dict(zip(images["path"], images["split"], strict=True))
        self.classes = sorted(set(images["label"]))
        self._fixes = fixes
        self._decisions = self._read()

    def __len__(self) -> int:
        return len(self._findings)

    def finding(self, number: int) -> dict[str, Any]:
        """A finding by its place, with what was decided about it so far."""
        row = self._findings.iloc[number]
        decision = self._decisions.get(row["path"])
        return {
            "number": number,
            "total": len(self),
            "decided": len(self._decisions),
            "title": TITLES[row["check"]],
            "reason": row["reason"],
            "suggested": row["suggested"],
            "picture": self._about(row["path"]),
            "similar": [self._about(path) for path in row["similar"].split("\n") if path in self._label_of],
            "decision": asdict(decision) if decision else None,
        }

    def jpeg(self, path: str) -> bytes:
        """A picture of the data set.

        Raises:
            DataError: there is no such picture any more.
        """
        if path not in self._label_of:
            raise DataError(f"{path} is no picture of this data set")
        if not (jpeg := jpeg_of(paths.DATA / path, LONGEST)):
            raise DataError(f"{path} is gone, or no picture any more")
        return jpeg

    def decide(self, decided: Decided) -> None:
        """Write a decision to the file.

        Raises:
            DataError: it names no picture or class of this data set, or no action.
        """
        if decided.path not in self._label_of:
            raise DataError(f"{decided.path} is no picture of this data set")
        if decided.action == "relabel" and decided.label not in self.classes:
            raise DataError(f"there is no class {decided.label!r}")
        if decided.action == "group" and decided.group not in self._label_of:
            raise DataError(f"{decided.group!r} is no picture of this data set")
        now = self._read()  # people edit it too
        if decided.action:
            kept = now.get(decided.path, Decision(decided.path, decided.action))
            now[decided.path] = replace(kept, action=decided.action, label=decided.label, group=decided.group)
        else:
            now.pop(decided.path, None)
        write_fixes(self._fixes, now.values())
        self._decisions = now

    def _read(self) -> dict[str, Decision]:
        return {each.path: each for each in (read_fixes(self._fixes) if self._fixes.exists() else [])}

    def _about(self, path: str) -> dict[str, str]:
        return {"path": path, "label": self._label_of[path], "split": self._split_of[path]}


def make_app(review: Review, host: str, port: int) -> FastAPI:
    """The page and what it asks for. Only the page itself, opened by this address, can decide anything."""
    app = FastAPI(openapi_url=None)
    token = secrets.token_urlsafe(24)
    own = {f"{host}:{port}", f"localhost:{port}"}

    @app.middleware("http")
    async def only_here(request: Request, answer: Any) -> Any:
        if request.headers.get("host") not in own:  # a page elsewhere whose name leads here
            return Response("this address is not the review's", 421)
        return await answer(request)

    @app.get("/")
    def page() -> HTMLResponse:
        nonce = secrets.token_urlsafe(16)
        text = render(
            "headstart.review", "review.html.j2", {}, token=token, nonce=nonce, classes=review.classes
        )
        headers = {"Content-Security-Policy": POLICY.format(nonce), "Cache-Control": "no-store"}
        return HTMLResponse(text, headers=headers)

    @app.get("/findings/{number}")
    def finding(number: int) -> dict[str, Any]:
        if not 0 <= number < len(review):
            raise HTTPException(404, f"there are {len(review)} findings")
        return review.finding(number)

    @app.get("/pictures")
    def picture(path: str) -> Response:
        try:
            return Response(review.jpeg(path), media_type="image/jpeg")
        except HeadstartError as error:
            raise HTTPException(404, str(error)) from error

    @app.post("/decisions")
    def decide(decided: Decided, x_token: str = Header("")) -> dict[str, bool]:
        if not secrets.compare_digest(x_token.encode(), token.encode()):
            raise HTTPException(403, "only the review's own page decides")
        try:
            review.decide(decided)
        except HeadstartError as error:
            raise HTTPException(400, str(error)) from error
        return {"written": True}

    return app


def serve(fixes: Path, port: int, announce: Callable[[int, str], object]) -> None:
    """Serve the review on loopback until it is interrupted.

    Args:
        announce: called with the number of findings and the address, once clients can connect.

    Raises:
        DataError: the data were not inspected yet.
    """
    import uvicorn

    from headstart.host.ending_server import listen

    if not (paths.FINDINGS.exists() and paths.IMAGE_TABLE.exists()):
        raise DataError(f"there is no {paths.FINDINGS}; run `dvc repro inspect` first")
    images = load_table(paths.IMAGE_TABLE, ["path", "label", "split"])
    review = Review(load_table(paths.FINDINGS), images, fixes)
    host = "127.0.0.1"
    config = uvicorn.Config(make_app(review, host, port), host=host, port=port, log_level="warning")
    bound = listen(config)
    announce(len(review), f"http://{host}:{port}")
    uvicorn.Server(config).run(sockets=[bound])
