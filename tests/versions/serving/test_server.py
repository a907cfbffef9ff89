"""The server of a version: bounded work, which ends with its request, and short errors."""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pandas as pd
import pytest
from served import TEXT, Network, loaded, served_model
from servers import in_thread

from headstart.host import bounded_server
from headstart.versions.serving import server, turns
from headstart.versions.serving.served_model import ServedModel

LIMIT = 30.0


@pytest.fixture
def served(tmp_path: Path) -> ServedModel:
    return served_model(tmp_path)


@contextmanager
def running(model: ServedModel, seconds: float = LIMIT) -> Iterator[int]:
    app = server.make_app(loaded(model), seconds)
    with in_thread(bounded_server.config(app, "127.0.0.1", 0, server.SIZES, "warning")) as port:
        yield port


def images(count: int, batch: int = 2) -> bytes:
    document = {"dataframe_split": {"columns": ["image"], "data": [[TEXT]] * count}}
    return json.dumps({**document, "params": {"batch": batch}}).encode()


def post(port: int, body: bytes, kind: str = "application/json") -> tuple[int, str]:
    address = f"http://127.0.0.1:{port}/invocations"
    request = urllib.request.Request(address, body, {"Content-Type": kind})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_it_answers_as_the_server_of_mlflow(served: ServedModel) -> None:
    with running(served) as port:
        status, text = post(port, images(3))
        assert status == 200
        assert [row["label"] for row in json.loads(text)["predictions"]] == ["light"] * 3
        status, text = post(port, f"image\n{TEXT}\n".encode(), "text/csv")
        assert [row["label"] for row in json.loads(text)["predictions"]] == ["light"]
        for path in ("ping", "health", "version"):
            assert urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}").status == 200


@pytest.mark.parametrize("form", ["instances", "dataframe_records"])
def test_a_row_without_an_image_keeps_its_place(served: ServedModel, form: str) -> None:
    rows = [{"image": TEXT}, {}, 5, {"image": None}, {"image": 5}, {"image": TEXT}]
    with running(served) as port:
        status, text = post(port, json.dumps({form: rows}).encode())
    assert status == 200
    labels = [row["label"] for row in json.loads(text)["predictions"]]
    assert labels == ["light", None, None, None, None, "light"]


def test_a_name_that_utf8_cannot_hold_fails_its_own_row(served: ServedModel) -> None:
    rows = [{"image": "\ud800"}, {"image": TEXT}]
    with running(served) as port:
        status, text = post(port, json.dumps({"dataframe_records": rows}).encode())
    assert status == 200, text
    assert [row["label"] for row in json.loads(text)["predictions"]] == [None, "light"]


def parquet(rows: int) -> bytes:
    """A table with a path in each row, which takes few bytes for any number of rows."""
    return pd.DataFrame({"path": ["a"] * rows}).to_parquet()


@pytest.mark.parametrize(
    ("body", "kind", "status", "reason"),
    [
        (b"{" * 5000, "application/json", 400, "valid JSON"),
        (b"[" * 200_000, "application/json", 400, "nested too deeply"),
        (b"[]", "application/json", 400, "Received a list"),
        (b"\xff", "application/json", 400, "valid JSON"),
        (b'{"dataframe_records": [{"picture": "a"}]}', "application/json", 400, "has neither"),
        (images(1, batch=1000), "application/json", 400, "batch is 1000; expected 1 to 256"),
        (b"a,b\n1\n1,2,3", "text/csv", 400, "CSV"),
        (b"PAR1", "application/vnd.apache.parquet", 400, "Failed to parse"),
        (parquet(1000), "application/vnd.apache.parquet", 400, "Parquet is not read"),
        (b"x", "", 415, "content types"),
        (b"x", "text/plain", 415, "content types"),
    ],
)
def test_a_bad_request_gets_a_short_reason(
    served: ServedModel, body: bytes, kind: str, status: int, reason: str
) -> None:
    with running(served) as port:
        found, text = post(port, body, kind)
    assert found == status
    assert reason in text
    assert "Traceback" not in text
    assert len(text) < 2 * turns.SHOWN


class Gate:
    """Holds every forward pass until it is opened."""

    def __init__(self, model: ServedModel) -> None:
        self.network: Network = model.predictor
        self.began, self.opened = threading.Semaphore(0), threading.Event()
        self.network.at_each_pass = self.hold

    def hold(self) -> None:
        self.began.release()
        assert self.opened.wait(LIMIT)

    def wait_for(self, passes: int) -> None:
        for _ in range(passes):
            assert self.began.acquire(timeout=LIMIT)


def test_a_bounded_number_of_requests_is_worked_on(served: ServedModel) -> None:
    gate = Gate(served)
    with running(served) as port, ThreadPoolExecutor(6) as clients:
        answers = [clients.submit(post, port, images(1)) for _ in range(6)]
        gate.wait_for(server.AT_ONCE)
        assert not gate.began.acquire(timeout=0.2)
        gate.opened.set()
        assert [answer.result()[0] for answer in answers] == [200] * 6


def test_a_request_is_refused_if_too_many_wait(served: ServedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "UNANSWERED", server.AT_ONCE)
    gate = Gate(served)
    with running(served) as port, ThreadPoolExecutor(server.AT_ONCE) as clients:
        answers = [clients.submit(post, port, images(1)) for _ in range(server.AT_ONCE)]
        gate.wait_for(server.AT_ONCE)
        status, text = post(port, images(1))
        assert (status, "try again later" in text) == (503, True)
        gate.opened.set()
        assert [answer.result()[0] for answer in answers] == [200] * server.AT_ONCE
        assert post(port, images(1))[0] == 200


def test_work_ends_with_the_time_of_its_request(served: ServedModel) -> None:
    gate = Gate(served)
    with running(served, seconds=0.3) as port:
        status, text = post(port, images(8))
        assert (status, "no answer within 0.3 s" in text) == (504, True)
        gate.wait_for(1)
        gate.opened.set()
    assert gate.network.passes == 1  # of four


def test_work_ends_when_its_client_leaves(served: ServedModel) -> None:
    network: Network = served.predictor
    began, left = threading.Event(), threading.Event()

    def wait_until_left() -> None:
        began.set()
        if served.given_up().wait(LIMIT):
            left.set()

    network.at_each_pass = wait_until_left
    with running(served) as port:
        client = HTTPConnection("127.0.0.1", port)
        client.request("POST", "/invocations", images(8), {"Content-Type": "application/json"})
        assert began.wait(LIMIT)
        client.close()
        assert left.wait(LIMIT)
    assert network.passes == 1  # of four


def test_a_request_that_waits_in_vain_is_never_begun(served: ServedModel) -> None:
    gate = Gate(served)
    with running(served, seconds=0.3) as port, ThreadPoolExecutor(6) as clients:
        answers = [clients.submit(post, port, images(1)) for _ in range(6)]
        assert [answer.result()[0] for answer in answers] == [504] * 6
        gate.opened.set()
    assert gate.network.passes == server.AT_ONCE


def test_a_served_version_sees_no_credentials_but_those_of_its_images() -> None:
    whole = {
        "PATH": "/bin",
        "MLFLOW_TRACKING_PASSWORD": "1",
        "PREFECT_API_KEY": "2",
        "AWS_SECRET_ACCESS_KEY": "3",
    }
    assert server._environment(whole) == {"PATH": "/bin"}
    folders = whole | {"HEADSTART_PATHS": "/srv/images"}
    assert server._environment(folders) == {"PATH": "/bin", "HEADSTART_PATHS": "/srv/images"}
    bucket = whole | {"HEADSTART_PATHS": "s3://bucket/images"}
    assert set(server._environment(bucket)) == {"PATH", "HEADSTART_PATHS", "AWS_SECRET_ACCESS_KEY"}
