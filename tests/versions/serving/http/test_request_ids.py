"""Every request for answers has an id: the client's own or a new one, in a header of the answer."""

import re
from collections.abc import Iterator

import pytest
from served import IMAGE, TEXT
from served_http import Server

from headstart.versions.serving.http.settings import Settings

NEW = re.compile("[0-9a-f]{32}")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(Settings()).running() as server:
        yield server


def id_of(server: Server, given: str) -> str:
    status, found, headers = server.post("/predict", IMAGE, "image/png", **{"X-Request-Id": given})
    assert status == 200
    assert found["answers"][0]["id"] == f"{headers['X-Request-Id']}:0"
    return headers["X-Request-Id"]


@pytest.mark.parametrize("given", ["a", "Line-2_2026.11.30", "x" * 64])
def test_the_id_of_the_client_comes_back(server: Server, given: str) -> None:
    assert id_of(server, given) == given


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "a/../b", "\u00e9", "<script>", "a;b"])
def test_another_one_is_replaced_by_a_new_id(server: Server, given: str) -> None:
    found = id_of(server, given)
    assert NEW.fullmatch(found)
    assert id_of(server, given) != found


def test_other_doors_and_refusals(server: Server) -> None:
    _, found, headers = server.post("/invocations", f"image\n{TEXT}\n".encode(), "text/csv")
    assert NEW.fullmatch(headers["X-Request-Id"])
    assert set(found["predictions"][0]) == {"label", "probabilities", "model_version", "error"}
    status, _, headers = server.post("/predict", b"", "text/html", **{"X-Request-Id": "mine"})
    assert (status, headers["X-Request-Id"]) == (415, "mine")
    assert server.get("/healthz")[2]["X-Request-Id"] is None


def test_it_is_described(server: Server) -> None:
    for door in ("/predict", "/invocations"):
        described = server.get("/openapi.json")[1]["paths"][door]["post"]
        assert [each["name"] for each in described["parameters"]] == ["X-Request-Id"]
        assert "X-Request-Id" in described["responses"]["200"]["headers"]
