"""The schemas of the page's doors, as `/openapi.json` shows them."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from headstart.versions.serving.http.documents import LABELLED, REFUSALS, VERSION, Answer, Problem

PICTURE = "data:image/jpeg;base64,/9j/4AAQSkZJRg=="


class Nearest(BaseModel):
    """A training image like the picture."""

    path: str = Field(description="in the project's data")
    label: str
    similarity: float = Field(description="cosine of the features at the cut: 1 is the same, 0 unrelated")
    thumbnail: str = Field(description="JPEG, as a data URI")


class Explanation(BaseModel):
    """The answer for one image, and the evidence for it; all of one version."""

    model_config = ConfigDict(
        protected_namespaces=(),
        json_schema_extra={
            "example": {
                "model": "models:/headstart@champion",
                "model_version": VERSION,
                "answer": {"name": "a.jpg", **LABELLED},
                "picture": PICTURE,
                "overlay": PICTURE,
                "why_no_overlay": None,
                "nearest": [{"path": "ok/0000.png", "label": "ok", "similarity": 0.93, "thumbnail": PICTURE}],
                "why_no_nearest": None,
            }
        },
    )

    model: str = Field(description="as it was given to `headstart serve`")
    model_version: str
    answer: Answer
    picture: str | None = Field(description="as the network reads it, JPEG; null if it cannot be read")
    overlay: str | None = Field(description="the evidence for the most probable class over it, JPEG")
    why_no_overlay: str | None
    nearest: list[Nearest] = Field(description="the most similar first")
    why_no_nearest: str | None


class Element(BaseModel):
    """An element of a card, named as in HTML."""

    tag: str
    content: "list[Element | str]"


class CardShown(BaseModel):
    """The model card of the version that answers, as it was when the server opened the version."""

    model_config = ConfigDict(
        protected_namespaces=(),
        json_schema_extra={
            "example": {
                "model": "models:/headstart@champion",
                "model_version": VERSION,
                "markdown": "PASS: accuracy **0.989**",
                "content": [
                    {
                        "tag": "p",
                        "content": ["PASS: accuracy ", {"tag": "strong", "content": ["0.989"]}],
                    }
                ],
                "why_not": None,
            }
        },
    )

    model: str
    model_version: str
    markdown: str
    content: list[str | Element] = Field(description="the same as a tree of elements")
    why_not: str | None = Field(description="why there is no card")


FOR_THE_PAGE: dict[int | str, dict[str, Any]] = {
    401: REFUSALS[401],
    403: {"model": Problem, "description": "a page of another site asks"},
}
EXPLAIN: dict[int | str, dict[str, Any]] = {200: {"model": Explanation}, **REFUSALS, **FOR_THE_PAGE}
