"""Batches across clients, the queue, time, tokens and figures of `headstart serve`."""

import json
import socket
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from processes import wait_for
from served import IMAGE, TEXT
from served_http import Held, Server, form, network_of

from headstart.errors import ArgumentError
from headstart.versions.serving.http import items, rooms
from headstart.versions.serving.http.batches import Batches
from headstart.versions.serving.http.items import Item
from headstart.versions.serving.http.settings import SPARE, WAITING, Settings, tokens_for

TOKEN = "0123456789abcdef"


def test_clients_share_forward_passes() -> None:
    server = Server(Settings(max_batch=8, passes=1))
    with server.running(), ThreadPoolExecutor(9) as clients:
        held = Held(server)
        first = clients.submit(server.image)
        held.wait()
        others = [clients.submit(server.image, IMAGE if number % 4 else b"bad") for number in range(8)]
        wait_for(lambda: server.figure("headstart_image_bytes_count") == 9, 30)
        threading.Event().wait(0.2)  # until those that were decoded wait for a pass
        held.let_go()
        answers = [each.result() for each in (first, *others)]
    assert [status for status, _, _ in answers] == [200] * 9
    found = [answer["answers"][0]["label"] for _, answer, _ in answers]
    assert found == ["light", None, "light", "light", "light", None, "light", "light", "light"]
    assert network_of(server).passes == 2
    assert server.figure("headstart_batch_images_sum") == 7


def test_a_pass_takes_no_more_images_than_allowed() -> None:
    sizes: list[int] = []
    batches = Batches(lambda pixels: pixels.mean((1, 2)), 4, 0.05, 2, sizes.append)
    pixels = np.arange(11, dtype=np.uint8)[:, None, None, None] + np.zeros((1, 2, 2, 3), np.uint8)
    with ThreadPoolExecutor(2) as clients:
        whole = clients.submit(batches.run, pixels, threading.Event())
        part = clients.submit(batches.run, pixels[:3], threading.Event())
        np.testing.assert_array_equal(whole.result()[:, 0], range(11))
        np.testing.assert_array_equal(part.result()[:, 0], range(3))
    batches.close()
    assert sum(sizes) == 14
    assert max(sizes) <= 4
    assert not batches.is_alive


def test_a_pass_waits_for_requests_that_are_being_read_and_for_no_others() -> None:
    passes: list[int] = []
    batches = Batches(lambda pixels: pixels.mean((1, 2)), 4, 60, 1, passes.append)
    image, given_up = np.zeros((1, 2, 2, 3), np.uint8), threading.Event()
    batches.run(image, given_up)  # at once, though it could wait for a minute
    is_read = threading.Event()

    def read_slowly() -> None:
        with batches.expected():
            is_read.wait()
            batches.run(image, given_up)

    def read_in_vain() -> None:
        with batches.expected():
            is_read.wait()

    with ThreadPoolExecutor(3) as clients:
        slow, _ = clients.submit(read_slowly), clients.submit(read_in_vain)
        wait_for(lambda: len(batches._read) == 2, 30)
        quick = clients.submit(batches.run, image, given_up)
        threading.Event().wait(0.2)
        assert not quick.done()
        is_read.set()
        for each in (slow, quick):
            each.result(30)
    batches.close()
    assert passes == [1, 2]


def test_a_pass_waits_no_longer_than_told() -> None:
    batches = Batches(lambda pixels: pixels.mean((1, 2)), 4, 0.05, 2, lambda images: None)
    with batches.expected(), ThreadPoolExecutor(1) as clients:  # and never comes
        clients.submit(batches.run, np.zeros((1, 2, 2, 3), np.uint8), threading.Event()).result(30)
    batches.close()


def test_a_pass_that_fails_fails_its_own_requests_only() -> None:
    server = Server(Settings())

    def fail() -> None:
        raise RuntimeError("out of memory")

    with server.running():
        network_of(server).at_each_pass = fail
        status, said, _ = server.image()
        assert (status, said["message"]) == (500, "the version failed; the server's log has the reason")
        network_of(server).at_each_pass = lambda: None
        assert server.image()[0] == 200


def test_too_many_requests_are_sent_away_for_a_moment() -> None:
    server = Server(Settings(max_queue=2))
    with server.running(), ThreadPoolExecutor(2) as clients:
        held = Held(server)
        answers = [clients.submit(server.image) for _ in range(2)]
        held.wait()
        wait_for(lambda: server.turns.unanswered == 2, 30)
        status, said, headers = server.image()
        assert (status, headers["Retry-After"]) == (503, "1")
        assert "try again later" in said["message"]
        held.let_go()
        assert [answer.result()[0] for answer in answers] == [200, 200]


def test_a_form_is_not_parsed_while_too_many_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(Settings(max_queue=1))
    parsed: list[bytes] = []
    real = items.items_of
    monkeypatch.setattr(items, "items_of", lambda body, *rest: parsed.append(body) or real(body, *rest))
    with server.running(), ThreadPoolExecutor(1) as clients:
        held = Held(server)
        waiting = clients.submit(server.image)
        held.wait()
        assert server.post("/predict", *form(("a", IMAGE)))[0] == 503
        held.let_go()
        assert waiting.result()[0] == 200
    assert parsed == [IMAGE]


def test_few_files_are_read_at_one_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADSTART_PATHS", str(tmp_path))
    server = Server(Settings(max_batch=16))
    counted = threading.Lock()
    reading = most = 0

    def read(path: str) -> bytes:
        nonlocal reading, most
        with counted:
            reading += 1
            most = max(most, reading)
        threading.Event().wait(0.01)
        with counted:
            reading -= 1
        return IMAGE

    server.live.current.served.access.read = read  # type: ignore[method-assign]
    body = json.dumps({"images": [{"path": "a"}] * 8}).encode()
    with server.running(), ThreadPoolExecutor(8) as clients:
        answers = [clients.submit(server.post, "/predict", body, "application/json") for _ in range(8)]
        assert {answer.result()[0] for answer in answers} == {200}
    assert most == rooms.LOCAL


def test_images_of_other_machines_have_places_of_their_own() -> None:
    places = rooms.Rooms()
    near = [places.of(each) for each in (IMAGE, TEXT, None, "/srv/a.png", Item(None, IMAGE), Item("a", 5))]
    far = [places.of(each) for each in ("https://example.org/a", Item("a", {"path": "s3://bucket/a"}))]
    assert len({*near}) == len({*far}) == 1
    assert near[0] is not far[0]


def test_an_image_that_nobody_waits_for_is_left_out() -> None:
    server = Server(Settings(seconds=0.3, passes=1))
    with server.running(), ThreadPoolExecutor(2) as clients:
        held = Held(server)
        answers = [clients.submit(server.image)]
        held.wait()
        answers.append(clients.submit(server.image))
        assert {answer.result()[0] for answer in answers} == {504}
        assert server.figure("headstart_image_bytes_count") == 2
        held.let_go()
        assert server.image()[0] == 200
    assert network_of(server).passes == 2  # the second of three images is in none
    assert server.figure('headstart_requests_total{door="/predict",status="504"}') == 2


def test_a_token_is_asked_for_before_the_body_is_read() -> None:
    server = Server(Settings(), (TOKEN, "another-token-16"))
    with server.running():
        for given in ({}, {"Authorization": "Bearer x"}, {"Authorization": f"Basic {TOKEN}"}):
            status, said, headers = server.post("/predict", IMAGE, "image/png", **given)
            assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
            assert "Authorization: Bearer TOKEN" in said["message"]
        assert server.post("/predict", IMAGE, "image/png", Authorization=f"Bearer {TOKEN}")[0] == 200
        assert [server.get(path)[0] for path in ("/healthz", "/readyz")] == [200, 200]
        assert [server.get(path)[0] for path in ("/metrics", "/openapi.json")] == [401, 401]


def test_probes_may_ask_for_the_head_alone() -> None:
    with Server(Settings()).running() as server:
        for path in ("/healthz", "/readyz"):
            request = urllib.request.Request(f"http://127.0.0.1:{server.port}{path}", method="HEAD")
            with urllib.request.urlopen(request, timeout=30) as answer:
                assert (answer.status, answer.read()) == (200, b"")


@contextmanager
def connection(server: Server, head: str, size: int) -> Iterator[socket.socket]:
    """A connection that has sent the head of a request with a body of some size."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        client.sendall(f"POST /predict HTTP/1.1\r\n{head}Content-Length: {size}\r\n\r\n".encode())
        yield client


def test_a_refusal_without_a_token_reaches_a_client_that_sends() -> None:
    size = 30 << 20
    with Server(Settings(), (TOKEN,)).running() as server:
        with connection(server, "Host: a\r\n", size) as client:
            for _ in range(size >> 20):
                client.sendall(b"x" * (1 << 20))
            assert client.recv(12) == b"HTTP/1.1 401"
        with connection(server, "Host: a\r\nExpect: 100-continue\r\n", size) as client:
            assert client.recv(12) == b"HTTP/1.1 401"  # and not "100 Continue"
    with (
        Server(Settings()).running() as server,
        connection(server, "Host: pictures.example.org\r\n", size) as client,
    ):
        client.sendall(b"x" * size)
        assert client.recv(12) == b"HTTP/1.1 421"


def test_a_page_elsewhere_gets_no_answer_from_loopback() -> None:
    with Server(Settings()).running() as server:
        assert server.get("/readyz", Host="pictures.example.org")[0] == 421
        assert server.get("/readyz", Host="localhost:99")[0] == 200
        assert server.get("/readyz", Host="[::1]:99")[0] == 200
    with Server(Settings(is_open=True)).running() as server:
        assert server.get("/readyz", Host="pictures.example.org")[0] == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "example.org", "::"])
def test_other_machines_need_a_token_or_an_explicit_word(
    host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ArgumentError, match="can be reached from other machines"):
        tokens_for(Settings(host=host))
    assert tokens_for(Settings(host=host, is_open=True)) == ()
    (tmp_path / "tokens").write_text(f"{TOKEN}\n\n {TOKEN}2 \n")
    monkeypatch.setenv("HEADSTART_SERVE_TOKENS_FILE", str(tmp_path / "tokens"))
    assert tokens_for(Settings(host=host)) == (TOKEN, f"{TOKEN}2")
    with pytest.raises(ArgumentError, match="leave one out"):
        tokens_for(Settings(host=host, is_open=True))


def test_tokens_that_protect_nothing_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tokens_for(Settings()) == ()
    monkeypatch.setenv("HEADSTART_SERVE_TOKENS", f"{TOKEN},short")
    with pytest.raises(ArgumentError, match="fewer than 16 characters"):
        tokens_for(Settings())
    monkeypatch.setenv("HEADSTART_SERVE_TOKENS", "schlüssel-0123456789")
    with pytest.raises(ArgumentError, match="other characters than ASCII letters"):
        tokens_for(Settings())
    monkeypatch.setenv("HEADSTART_SERVE_TOKENS", "")
    monkeypatch.setenv("HEADSTART_SERVE_TOKENS_FILE", str(tmp_path / "none"))
    with pytest.raises(ArgumentError, match="cannot be read"):
        tokens_for(Settings())
    (tmp_path / "none").write_text("\n")
    with pytest.raises(ArgumentError, match="holds no token"):
        tokens_for(Settings())


@pytest.mark.parametrize("queue", [1, 184, 190, 10_000])
def test_requests_that_wait_at_every_door_leave_connections_for_others(queue: int) -> None:
    settings = Settings(max_queue=queue)
    assert settings.connections_needed == queue + WAITING + SPARE <= settings.connections


def test_a_setting_out_of_range_names_its_option() -> None:
    with pytest.raises(ArgumentError, match=r"--max-batch is 0; expected 1 to 256"):
        Settings(max_batch=0)


def test_the_figures_count_what_was_asked_and_answered() -> None:
    with Server(Settings()).running() as server:
        server.image()
        server.image(b"bad")
        server.post("/invocations", json.dumps({"instances": [{"image": TEXT}]}).encode(), "application/json")
        status, text, headers = server.get("/metrics")
    assert (status, headers["Content-Type"].partition(";")[0]) == (200, "text/plain")
    assert "headstart_request_seconds_bucket" in text
    assert server.figure('headstart_requests_total{door="/predict",status="200"}') == 2
    assert server.figure('headstart_images_total{outcome="label"}') == 2
    assert server.figure('headstart_images_total{outcome="unreadable"}') == 1
    assert server.figure("headstart_confidence_count") == 2
    assert server.figure("headstart_image_bytes_count") == 3
    assert server.figure('headstart_version{model_version="models:/m/1"}') == 1
