"""The page at / and its doors: one image with its evidence, the card, and who may ask."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest
from served import IMAGE, TEXT
from served_http import MODEL, Held, Server, form, network_of

from headstart.versions.serving.http.card import Card
from headstart.versions.serving.http.settings import WAITING, Settings

TOKEN = "0123456789abcdef"
JSON = "application/json"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(Settings()).running() as server:
        yield server


def decoded(uri: str) -> bytes:
    head, _, data = uri.partition(",")
    assert head == "data:image/jpeg;base64"
    return base64.b64decode(data)


def test_an_answer_comes_with_its_evidence(server: Server) -> None:
    status, found, headers = server.post("/explain", *form(("a.png", IMAGE)))
    assert (status, found["model"], found["model_version"]) == (200, MODEL, "models:/m/1")
    [same] = server.post("/predict", *form(("a.png", IMAGE)))[1]["answers"]
    assert found["answer"] == {name: value for name, value in same.items() if name != "id"}
    assert [decoded(found[name]) for name in ("picture", "overlay")] == [b"picture", b"overlay"]
    [near] = found["nearest"]
    assert decoded(near.pop("thumbnail")) == b"near"
    assert near == {"path": "light/1.png", "label": "light", "similarity": 0.5}
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert server.figure('headstart_requests_total{door="/explain",status="200"}') == 1
    assert server.figure('headstart_images_total{outcome="label"}') == 2


def test_an_unreadable_image_has_a_reason_and_no_evidence(server: Server) -> None:
    status, found, _ = server.post("/explain", b"no image", "image/png")
    assert (status, found["answer"]["error"], found["answer"]["label"]) == (200, "cannot be decoded", None)
    assert [found[name] for name in ("picture", "overlay", "nearest")] == [None, None, []]


def test_a_refusal_keeps_its_evidence(server: Server) -> None:
    network = network_of(server)
    network.refused = "refused: not sure"
    server.live.swap(server.version(2, network))
    found = server.post("/explain", IMAGE, "image/png")[1]
    assert (found["answer"]["label"], found["answer"]["error"]) == (None, "refused: not sure")
    assert decoded(found["overlay"]) == b"overlay"
    assert found["model_version"] == found["answer"]["model_version"] == "models:/m/2"


@pytest.mark.parametrize(
    ("body", "kind", "status", "reason"),
    [
        (json.dumps({"images": [{"base64": TEXT}] * 2}).encode(), JSON, 400, "2 images, expected 1"),
        (json.dumps({"images": []}).encode(), JSON, 400, "0 images, expected 1"),
        (*form(("a", IMAGE), ("b", IMAGE)), 400, "more files than 1"),
        (b"x", "text/plain", 415, "content type is text/plain"),
    ],
)
def test_it_takes_one_image(server: Server, body: bytes, kind: str, status: int, reason: str) -> None:
    found, said, _ = server.post("/explain", body, kind)
    assert (found, reason in said["message"]) == (status, True)


def test_evidence_is_found_for_one_request_at_a_time_and_holds_no_other_up(server: Server) -> None:
    with ThreadPoolExecutor(WAITING) as clients:
        held = Held(server)
        asked = [clients.submit(server.post, "/explain", IMAGE, "image/png") for _ in range(WAITING)]
        held.wait()
        while server.explaining.unanswered < WAITING:
            pass
        status, _, headers = server.post("/explain", IMAGE, "image/png")
        assert (status, headers["Retry-After"]) == (503, "1")
        assert not held.began.acquire(timeout=0.1)  # the others have not begun
        network_of(server).at_each_pass = lambda: None
        assert server.image()[0] == 200
        held.let_go()
        assert [each.result()[0] for each in asked] == [200] * WAITING


def test_the_card_is_that_of_the_version_that_answers(server: Server) -> None:
    assert server.get("/card")[1]["content"] == [
        {"tag": "p", "content": ["Card ", {"tag": "strong", "content": ["1"]}]}
    ]
    server.live.swap(server.version(2, network_of(server)))
    found = server.get("/card")[1]
    assert (found["model_version"], found["markdown"], found["why_not"]) == (
        "models:/m/2",
        "Card **2**",
        None,
    )


def test_a_card_holds_neither_html_nor_links() -> None:
    text = (
        "<b>a</b> [b](javascript:x) [c](#/d) ![e](http://f)\n\n<script>g</script>\n\n| h |\n|---|\n| `i` |\n"
    )
    found = cast(list[Any], Card(text, None).content)
    assert found[0] == {"tag": "p", "content": ["<b>a</b> [b](javascript:x) ", "c", " ", "e"]}
    assert found[1] == {"tag": "p", "content": ["<script>g</script>"]}
    cell = {"tag": "td", "content": [{"tag": "code", "content": ["i"]}]}
    assert cell in found[2]["content"][1]["content"][0]["content"]


def test_the_page_allows_nothing_but_its_own_script_and_style(server: Server) -> None:
    status, text, headers = server.get("/")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["form-action"] == "'none'"
    for tag in ("script", "style"):
        [own] = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(own.encode()).digest()).decode()
        assert policy[f"{tag}-src"] == f"'sha256-{digest}'"
    assert not re.search(r"https?://|\son\w+=|style=|innerHTML", text)


def test_only_the_page_itself_needs_no_token() -> None:
    with Server(Settings(), (TOKEN,)).running() as server:
        assert server.get("/")[0] == 200
        for answer in (
            server.get("/card"),
            server.post("/explain", IMAGE, "image/png"),
            server.post("/", b"x", "a/b"),
        ):
            assert answer[0] == 401
        known = {"Authorization": f"Bearer {TOKEN}"}
        assert server.get("/card", **known)[0] == 200
        assert server.post("/explain", IMAGE, "image/png", **known)[0] == 200


def test_a_page_of_another_site_gets_nothing(server: Server) -> None:
    for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)):
        asked = {"Sec-Fetch-Site": site}
        assert server.post("/explain", IMAGE, "image/png", **asked)[0] == status
        assert server.get("/card", **asked)[0] == status
    assert server.get("/", Host="evil.example")[0] == 421


def test_the_description_has_the_doors_of_the_page(server: Server) -> None:
    document = server.get("/openapi.json")[1]
    schemas = document["components"]["schemas"]
    found = server.post("/explain", IMAGE, "image/png")[1]
    assert set(schemas["Explanation"]["properties"]) == set(found) > set(schemas["Explanation"]["example"])
    assert set(schemas["CardShown"]["properties"]) == set(server.get("/card")[1])
    assert set(document["paths"]["/explain"]["post"]["responses"]) >= {"200", "401", "403", "503", "504"}
