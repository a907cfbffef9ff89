"""Requests of many forms and sizes for `headstart serve`, bad ones among them, and what each must get."""

import base64
import http.client
import io
import json
import random
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from served_http import form

SIZES = ((40, 60), (96, 72), (224, 224), (500, 375))
WEIGHTS = (40, 40, 15, 5)
JSON = "application/json"


class Request(NamedTuple):
    """A request and what it must get.

    Attributes:
        images: the number of the image behind each answer; None for one that cannot be read.
    """

    door: str
    kind: str
    body: bytes
    status: int
    images: Sequence[int | None]


def draw_pictures(folder: Path, count: int) -> list[Path]:
    """JPEG and PNG files of several sizes."""
    random_ = np.random.default_rng(1)
    folder.mkdir(parents=True)
    paths = []
    for number in range(count):
        width, height = SIZES[random_.choice(len(SIZES), p=np.array(WEIGHTS) / sum(WEIGHTS))]
        tones = random_.integers(0, 255, (height // 4, width // 4, 3), dtype=np.uint8)
        paths.append(folder / f"{number:03d}.{'jpg' if number % 3 else 'png'}")
        Image.fromarray(tones).resize((width, height)).save(paths[-1])
    return paths


def draw_requests(paths: Sequence[Path], count: int, bad_share: float) -> list[Request]:
    """Requests through every door, the same for the same arguments."""
    chance = random.Random(2)
    files = [path.read_bytes() for path in paths]
    good = (_raw, _form, _base64, _data_uri, _path, _split, _records, _csv)
    bad = (_cut, _no_image, _malformed, _oversized, _wrong_kind, _too_many, _malformed_invocation)

    def one(number: int) -> Request:
        makers = bad if number % round(1 / bad_share) == 0 else good
        chosen = chance.choices(range(len(files)), k=chance.choice((1, 1, 1, 2, 4)))
        return chance.choice(makers)(files, paths, chosen)

    return [one(number) for number in range(count)]


def _raw(files: Any, paths: Any, chosen: list[int]) -> Request:
    return Request("/predict", "image/jpeg", files[chosen[0]], 200, chosen[:1])


def _form(files: Any, paths: Any, chosen: list[int]) -> Request:
    body, kind = form(*((f"{number}", files[number]) for number in chosen))
    return Request("/predict", kind, body, 200, chosen)


def _base64(files: Any, paths: Any, chosen: list[int]) -> Request:
    return _listed([{"base64": _text(files[number])} for number in chosen], chosen)


def _data_uri(files: Any, paths: Any, chosen: list[int]) -> Request:
    return _listed([{"data_uri": f"data:image/png;base64,{_text(files[n])}"} for n in chosen], chosen)


def _path(files: Any, paths: Any, chosen: list[int]) -> Request:
    return _listed([{"path": str(paths[number])} for number in chosen], chosen)


def _listed(items: list[Any], images: Sequence[int | None]) -> Request:
    return Request("/predict", JSON, json.dumps({"images": items}).encode(), 200, images)


def _split(files: Any, paths: Any, chosen: list[int]) -> Request:
    document = {"dataframe_split": {"columns": ["image"], "data": [[_text(files[n])] for n in chosen]}}
    return Request("/invocations", JSON, json.dumps(document).encode(), 200, chosen)


def _records(files: Any, paths: Any, chosen: list[int]) -> Request:
    document = {"dataframe_records": [{"path": str(paths[number])} for number in chosen]}
    return Request("/invocations", JSON, json.dumps(document).encode(), 200, chosen)


def _csv(files: Any, paths: Any, chosen: list[int]) -> Request:
    text = "\n".join(["image", *(_text(files[number]) for number in chosen)])
    return Request("/invocations", "text/csv", text.encode(), 200, chosen)


def _cut(files: Any, paths: Any, chosen: list[int]) -> Request:
    data = files[chosen[0]]
    return Request("/predict", "image/jpeg", data[: len(data) // 2], 200, [None])


def _no_image(files: Any, paths: Any, chosen: list[int]) -> Request:
    body, kind = form(("good", files[chosen[0]]), ("bad", b"no image"), ("good", files[chosen[-1]]))
    return Request("/predict", kind, body, 200, [chosen[0], None, chosen[-1]])


def _malformed(files: Any, paths: Any, chosen: list[int]) -> Request:
    return Request("/predict", JSON, b'{"images": [{"base64"', 400, ())


def _oversized(files: Any, paths: Any, chosen: list[int]) -> Request:
    return Request("/predict", "image/jpeg", bytes((4 << 20) + 1), 413, ())


def _wrong_kind(files: Any, paths: Any, chosen: list[int]) -> Request:
    return Request("/predict", "text/plain", b"x", 415, ())


def _too_many(files: Any, paths: Any, chosen: list[int]) -> Request:
    return _listed([{"path": "a"}] * 9, ())._replace(status=400)


def _malformed_invocation(files: Any, paths: Any, chosen: list[int]) -> Request:
    return Request("/invocations", JSON, b'{"instances": 5', 400, ())


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


class Client(threading.local):
    """A connection per thread, kept open; a server may close one that it refused."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def ask(self, request: Request) -> tuple[int, bytes]:
        self._connection.request("POST", request.door, request.body, {"Content-Type": request.kind})
        answer = self._connection.getresponse()
        return answer.status, answer.read()


@contextmanager
def rude_clients(port: int) -> Iterator[Callable[[], int]]:
    """Clients that send slowly, hang up within a request, or never take the answer; counts them."""
    ended, count = threading.Event(), 0
    picture = io.BytesIO()
    Image.new("RGB", (300, 300)).save(picture, "png")
    whole = f"Content-Length: {len(picture.getvalue())}\r\n\r\n".encode() + picture.getvalue()
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"

    def slow(connection: socket.socket) -> None:
        for byte in head + b"Content-Length: 100000\r\n\r\n" + b"x" * 10_000:
            connection.send(bytes([byte]))
            if ended.wait(0.02):
                return

    def cut(connection: socket.socket) -> None:
        connection.send(head + b"Content-Length: 100000\r\n\r\n" + b"x" * 1000)

    def silent(connection: socket.socket) -> None:
        connection.send(head + whole)
        ended.wait(0.5)

    def run(behave: Callable[[socket.socket], None]) -> None:
        nonlocal count
        while not ended.is_set():
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)) as connection:
                count += 1
                behave(connection)
            ended.wait(0.1)

    threads = [
        threading.Thread(target=run, args=(behave,)) for behave in (slow, cut, silent) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    try:
        yield lambda: count
    finally:
        ended.set()
        for thread in threads:
            thread.join()
