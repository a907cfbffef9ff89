"""A server of `headstart serve` with a network that stands in for a trained one."""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any, cast

from served import IMAGE, Network
from servers import in_thread

from headstart.versions.serving.http.app import Serving, make_app
from headstart.versions.serving.http.live import Live, LiveVersion
from headstart.versions.serving.http.metrics import Metrics
from headstart.versions.serving.http.run import NOTHING_KEPT, config, keeping_of
from headstart.versions.serving.http.settings import Settings
from headstart.versions.serving.opening import Opened
from headstart.versions.serving.settings import Serve
from headstart.versions.serving.turns import Turns

MODEL = "models:/m@champion"
Answer = tuple[int, Any, Mapping[str, str]]


class Server:
    """The port of a running server, and everything behind it."""

    def __init__(self, settings: Settings, tokens: tuple[str, ...] = (), kept: Serve = NOTHING_KEPT) -> None:
        self.settings, self.tokens = settings, tokens
        self.metrics = Metrics()
        self.keeping = keeping_of(kept, self.metrics)
        self.turns = Turns(2 * settings.max_batch, settings.max_queue, settings.seconds)
        self.problem: str | None = None
        self.live = Live(self.version(1, Network()), self.metrics)
        self.port = 0

    def version(self, number: int, network: Network) -> LiveVersion:
        network.transform = SimpleNamespace(crop_size=[2])  # type: ignore[attr-defined]
        name = f"models:/m/{number}"
        opened = Opened(name, name, cast(Any, network))
        return LiveVersion(opened, self.settings, self.metrics, self.turns.given_up)

    @contextmanager
    def running(self) -> Iterator["Server"]:
        images = self.settings.max_images
        serving = Serving(
            MODEL, self.live, self.turns, self.metrics, lambda: self.problem, images, self.keeping
        )
        with (
            nullcontext() if self.keeping is None else self.keeping.running(),
            in_thread(config(make_app(serving), self.settings, self.tokens, self.metrics)) as self.port,
        ):
            yield self

    def get(self, path: str, **headers: str) -> Answer:
        return self._ask(urllib.request.Request(self._address(path), headers=headers))

    def post(self, path: str, body: bytes, kind: str, **headers: str) -> Answer:
        headers = {"Content-Type": kind, **headers}
        return self._ask(urllib.request.Request(self._address(path), body, headers))

    def image(self, body: bytes = IMAGE) -> Answer:
        return self.post("/predict", body, "image/png")

    def figure(self, line: str) -> float:
        """A figure of /metrics, by its name and labels."""
        text = self.metrics.text().decode()
        [value] = [each.rpartition(" ")[2] for each in text.splitlines() if each.rpartition(" ")[0] == line]
        return float(value)

    def _address(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def _ask(self, request: urllib.request.Request) -> Answer:
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, _parsed(answer.read()), answer.headers
        except urllib.error.HTTPError as error:
            return error.code, _parsed(error.read()), error.headers


def network_of(server: Server) -> Network:
    """The network of the version that answers."""
    return cast(Network, server.live.current.served.predictor._predictor)


class Held:
    """Holds every forward pass of a server until it is let go."""

    def __init__(self, server: Server) -> None:
        self.began, self._opened = threading.Semaphore(0), threading.Event()
        network_of(server).at_each_pass = self._hold

    def wait(self) -> None:
        assert self.began.acquire(timeout=30)

    def let_go(self) -> None:
        self._opened.set()

    def _hold(self) -> None:
        self.began.release()
        assert self._opened.wait(30)


def form(*files: tuple[str, bytes]) -> tuple[bytes, str]:
    """A multipart body with files, and its content type."""
    parts = [
        f'--edge\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n\r\n'.encode()
        + data
        + b"\r\n"
        for name, data in files
    ]
    return b"".join(parts) + b"--edge--\r\n", "multipart/form-data; boundary=edge"


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode()
