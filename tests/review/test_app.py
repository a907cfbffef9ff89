"""The review's page answers to nobody but itself, shows every finding, and writes each decision at once."""

import re
import socket
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from servers import free_port

from headstart.ground import paths
from headstart.review.app import Review, make_app, serve
from headstart.review.fixes import Decision, read_fixes, write_fixes

HOST, PORT = "127.0.0.1", 5002
PATHS = ["a/1.tif", "a/2.png", "b/3.png"]


@pytest.fixture
def review(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Review:
    monkeypatch.chdir(tmp_path)
    for number, path in enumerate(PATHS):
        (tmp_path / "data" / path).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.full((900, 700, 3), 80 * number, np.uint8)
        Image.fromarray(pixels).save(tmp_path / "data" / path)
    (tmp_path / "secret.txt").write_text("secret")
    findings = pd.DataFrame(
        {
            "check": ["label", "dark"],
            "path": PATHS[:2],
            "reason": ["labelled “a”, but “b” is likelier by 90 points", "brightness 0.00"],
            "suggested": ["b", ""],
            "similar": ["b/3.png\na/2.png", ""],
        }
    )
    images = pd.DataFrame({"path": PATHS, "label": ["a", "a", "b"], "split": "train"})
    return Review(findings, images, Path("fixes.csv"))


@pytest.fixture
def client(review: Review) -> TestClient:
    return TestClient(make_app(review, HOST, PORT), base_url=f"http://{HOST}:{PORT}")


def token_of(client: TestClient) -> dict[str, str]:
    found = re.search(r'const token = "([^"]+)"', client.get("/").text)
    assert found is not None
    return {"X-Token": found[1]}


def test_a_finding_is_shown_with_pictures_like_it(client: TestClient) -> None:
    found = client.get("/findings/0").json()
    assert (found["total"], found["decided"], found["suggested"]) == (2, 0, "b")
    assert found["picture"] == {"path": "a/1.tif", "label": "a", "split": "train"}
    assert [each["path"] for each in found["similar"]] == ["b/3.png", "a/2.png"]
    assert client.get("/findings/2").status_code == 404


def test_pictures_are_sent_in_a_form_that_browsers_show(client: TestClient) -> None:
    answer = client.get("/pictures", params={"path": "a/1.tif"})
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.content.startswith(b"\xff\xd8")
    for path in ("../secret.txt", "/etc/passwd", "a/9.png"):
        assert client.get("/pictures", params={"path": path}).status_code == 404


def test_each_decision_is_written_at_once_and_can_be_taken_back(client: TestClient) -> None:
    own = token_of(client)
    wanted = {"path": "a/1.tif", "action": "relabel", "label": "b"}
    assert client.post("/decisions", json=wanted, headers=own).status_code == 200
    assert read_fixes(Path("fixes.csv")) == [Decision("a/1.tif", "relabel", "b")]
    assert client.get("/findings/0").json()["decision"]["label"] == "b"
    client.post("/decisions", json={"path": "a/1.tif", "action": ""}, headers=own)
    assert read_fixes(Path("fixes.csv")) == []


def test_lines_written_by_hand_meanwhile_are_kept(client: TestClient) -> None:
    write_fixes(Path("fixes.csv"), [Decision("b/3.png", "remove", note="by hand")])
    client.post("/decisions", json={"path": "a/2.png", "action": "keep"}, headers=token_of(client))
    assert read_fixes(Path("fixes.csv")) == [
        Decision("b/3.png", "remove", note="by hand"),
        Decision("a/2.png", "keep"),
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"path": "a/9.png", "action": "keep"},
        {"path": "a/2.png", "action": "delete"},
        {"path": "a/2.png", "action": "relabel", "label": "c"},
        {"path": "a/2.png", "action": "group", "group": "x"},
    ],
)
def test_a_wrong_decision_is_refused_and_the_file_left_alone(
    client: TestClient, wrong: dict[str, str]
) -> None:
    assert client.post("/decisions", json=wrong, headers=token_of(client)).status_code in (400, 422)
    assert not Path("fixes.csv").exists()


def test_only_the_page_decides_and_only_under_its_own_address(client: TestClient, review: Review) -> None:
    wanted = {"path": "a/2.png", "action": "remove"}
    assert client.post("/decisions", json=wanted).status_code == 403
    assert client.post("/decisions", json=wanted, headers={"X-Token": "a" * 32}).status_code == 403
    elsewhere = TestClient(make_app(review, HOST, PORT), base_url="http://elsewhere.example:5002")
    assert elsewhere.get("/").status_code == 421
    assert not Path("fixes.csv").exists()
    policy = client.get("/").headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")


def test_its_address_is_named_once_browsers_can_connect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    paths.FINDINGS.parent.mkdir(parents=True)
    columns = ["check", "path", "reason", "suggested", "similar", "label", "split"]
    for table in (paths.FINDINGS, paths.IMAGE_TABLE):
        pd.DataFrame({name: ["a"] for name in columns}).to_parquet(table)
    monkeypatch.setattr("uvicorn.Server.run", lambda self, sockets: sockets[0].close())
    port, connected = free_port(), []

    def announce(findings: int, address: str) -> None:
        with socket.create_connection((HOST, port), timeout=5):
            connected.append(findings)

    serve(Path("fixes.csv"), port, announce)
    assert connected == [1]
