"""The guard's receiver: deliveries that it accepts, and those that it refuses."""

import json
import logging
import socket
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient
from servers import in_thread

from headstart.orchestration import guard
from headstart.orchestration.guard import SIZES, configure, main, make_app
from headstart.orchestration.webhook import AGE_SECONDS, Deliveries, secret_in, signature

EVENT = {
    "entity": "model_version_alias",
    "action": "created",
    "data": {"name": "headstart", "alias": "champion", "version": "2"},
}
SECRET = "a secret"


class Starts:
    """Counts starts; fails while `fails` is set."""

    def __init__(self) -> None:
        self.count, self.fails = 0, False

    def __call__(self) -> str:
        if self.fails:
            raise ConnectionError("no Prefect")
        self.count += 1
        return "a flow run"


@pytest.fixture
def starts() -> Starts:
    return Starts()


@pytest.fixture
def receiver(tmp_path: Path, starts: Starts) -> TestClient:
    return client(tmp_path, starts)


def client(folder: Path, starts: Starts) -> TestClient:
    return TestClient(make_app(SECRET, Deliveries(folder / "deliveries.db"), "headstart", starts))


def send(
    receiver: httpx.Client, delivery: str = "one", age: float = 0, secret: str = SECRET, **data: str
) -> int:
    event = {**EVENT, "data": {**EVENT["data"], **data}}
    return post(receiver, delivery, json.dumps(event).encode(), age, secret)


def post(receiver: httpx.Client, delivery: str, body: bytes, age: float = 0, secret: str = SECRET) -> int:
    headers = signed(delivery, str(int(time.time() - age)), body, secret)
    return int(receiver.post("/mlflow", content=body, headers=headers).status_code)


def signed(delivery: str, timestamp: str, body: bytes, secret: str = SECRET) -> dict[str, str]:
    return {
        "X-MLflow-Delivery-Id": delivery,
        "X-MLflow-Timestamp": timestamp,
        "X-MLflow-Signature": signature(secret, delivery, timestamp, body),
    }


def test_a_signed_delivery_starts_the_flow_once_across_restarts(
    receiver: TestClient, starts: Starts, tmp_path: Path
) -> None:
    assert send(receiver) == 200
    assert send(receiver) == 401
    assert send(client(tmp_path, starts)) == 401
    assert starts.count == 1
    assert send(receiver, "two") == 200
    assert starts.count == 2


def test_wrong_signatures_and_old_deliveries_are_refused(receiver: TestClient, starts: Starts) -> None:
    assert send(receiver, secret="another") == 401
    assert send(receiver, age=AGE_SECONDS + 5) == 401
    assert send(receiver, age=-AGE_SECONDS - 5) == 401
    assert receiver.post("/mlflow", json=EVENT).status_code == 401
    assert starts.count == 0


def test_a_delivery_that_was_changed_on_its_way_is_refused(receiver: TestClient, starts: Starts) -> None:
    body, now = json.dumps(EVENT).encode(), int(time.time())
    right = {
        "X-MLflow-Delivery-Id": "one",
        "X-MLflow-Timestamp": str(now),
        "X-MLflow-Signature": signature(SECRET, "one", str(now), body),
    }
    later, renamed = {"X-MLflow-Timestamp": str(now + 1)}, {"X-MLflow-Delivery-Id": "two"}
    bare = {name: value for name, value in right.items() if name != "X-MLflow-Signature"}
    for sent, headers in ((body + b" ", right), (body, right | later), (body, right | renamed), (body, bare)):
        assert receiver.post("/mlflow", content=sent, headers=headers).status_code == 401
    assert starts.count == 0
    assert receiver.post("/mlflow", content=body, headers=right).status_code == 200


@pytest.mark.parametrize("timestamp", ["9" * 5000, "", "-1", "1e9", "\u0661", " ", "0x1", "1_0"])
def test_a_signed_delivery_without_a_time_is_refused(
    receiver: TestClient,
    starts: Starts,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    timestamp: str,
) -> None:
    monkeypatch.setattr(guard, "LOG", logging.getLogger("refusals"))
    body = json.dumps(EVENT).encode()
    headers = {name: value.encode() for name, value in signed("one", timestamp, body).items()}
    assert receiver.post("/mlflow", content=body, headers=headers).status_code == 401
    assert starts.count == 0
    assert [len(record.getMessage()) < 200 for record in caplog.records if record.name == "refusals"] == [
        True
    ]


@pytest.mark.parametrize("body", [b"", b"no JSON", b"\xff", b"[" * 50_000, b"9" * 50_000])
def test_a_signed_delivery_that_is_no_json_is_an_error_of_its_sender(
    receiver: TestClient, starts: Starts, body: bytes
) -> None:
    assert post(receiver, "one", body) == 400
    assert starts.count == 0


@pytest.mark.parametrize("event", [[], "text", None, {}, {**EVENT, "data": None}, {**EVENT, "data": [1]}])
def test_signed_json_of_another_form_starts_nothing(
    receiver: TestClient, starts: Starts, event: object
) -> None:
    assert post(receiver, "one", json.dumps(event).encode()) == 200
    assert starts.count == 0


def test_other_aliases_and_models_start_nothing(receiver: TestClient, starts: Starts) -> None:
    assert send(receiver, "one", alias="Champion") == 200
    assert send(receiver, "two", alias="challenger") == 200
    assert send(receiver, "three", name="other") == 200
    assert starts.count == 0


def test_a_delivery_that_could_not_be_served_may_come_again(receiver: TestClient, starts: Starts) -> None:
    starts.fails = True
    assert send(receiver) == 503
    starts.fails = False
    assert send(receiver) == 200
    assert starts.count == 1


def test_slow_and_large_bodies_do_not_deafen_it(
    tmp_path: Path, starts: Starts, capfd: pytest.CaptureFixture[str]
) -> None:
    app = make_app(SECRET, Deliveries(tmp_path / "deliveries.db"), "headstart", starts)
    config = configure(app, "127.0.0.1", 0)
    config.backlog = 20  # connections at once
    head = b"POST /mlflow HTTP/1.1\r\nHost: here\r\nContent-Length: 60000\r\n\r\nx"
    with (
        in_thread(config) as port,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as receiver,
        ExitStack() as opened,
    ):
        slow = [opened.enter_context(socket.create_connection(("127.0.0.1", port), 30)) for _ in range(100)]
        for client in slow:
            with suppress(ConnectionError):
                client.sendall(head)
        assert send(receiver) == 200
        assert post(receiver, "two", b"x" * (SIZES.body + 1)) == 413
        assert [is_closed(client) for client in slow[:80]] == [True] * 80
    assert starts.count == 1
    assert capfd.readouterr().err == ""


def is_closed(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except ConnectionError:
        return True


def test_every_address_is_no_address_for_mlflow(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["guard", "--host", "0.0.0.0"])
    with pytest.raises(SystemExit):
        main()
    assert "give MLflow one with --url" in capsys.readouterr().err


def test_a_secret_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    first = secret_in(path)
    assert len(first) == 44
    assert path.stat().st_mode & 0o777 == 0o600
    assert secret_in(path) == first
