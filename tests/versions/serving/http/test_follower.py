"""A server follows its alias: the next version answers once it was tried, and no request is lost."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import numpy as np
import pytest
from processes import wait_for
from served import Network
from served_http import Held, Server

from headstart.errors import ModelError, TrackingError, TrackingUnreachable
from headstart.versions.serving.http.follower import Follower
from headstart.versions.serving.http.live import LiveVersion, probe
from headstart.versions.serving.http.settings import Settings
from headstart.versions.serving.opening import Opened


class Broken(Network):
    """Stands for a network whose weights are not numbers."""

    def predict_pixels(self, pixels: np.ndarray) -> np.ndarray:
        return np.full((len(pixels), 2), np.nan)


class Registry:
    """The alias, and the versions that it may name."""

    def __init__(self, server: Server) -> None:
        self.server, self.number = server, 1
        self.networks: dict[int, Callable[[], Network]] = {}
        self.prepared: list[str] = []
        self.error: Exception | None = None
        self.follower = Follower(server.live, self.resolve, self.prepare, self.count, 0.01)

    def resolve(self) -> str:
        if self.error is not None:
            raise self.error
        return f"models:/m/{self.number}"

    def prepare(self, name: str) -> LiveVersion:
        self.prepared.append(name)
        version = self.server.version(self.number, network := self.networks.get(self.number, Network)())
        probe(Opened(name, name, cast(Any, network)), 4)
        return version

    def count(self, outcome: str) -> None:
        self.server.metrics.swaps.labels(outcome).inc()


def answered_by(server: Server) -> str:
    [row] = server.image()[1]["answers"]
    return str(row["model_version"])


def test_a_request_ends_with_the_version_it_began_with() -> None:
    server = Server(Settings())
    registry = Registry(server)
    with server.running(), ThreadPoolExecutor(1) as clients:
        held = Held(server)
        waiting = clients.submit(answered_by, server)
        held.wait()
        first, registry.number = server.live.current, 2
        registry.follower.look()
        assert answered_by(server) == "models:/m/2"
        assert server.get("/readyz")[1]["model_version"] == "models:/m/2"
        assert first.is_alive
        held.let_go()
        assert waiting.result() == "models:/m/1"
        assert not first.is_alive
    assert server.figure('headstart_version{model_version="models:/m/2"}') == 1
    assert 'model_version="models:/m/1"' not in server.metrics.text().decode()


def test_no_request_is_lost_while_versions_change() -> None:
    server = Server(Settings(max_batch=4))
    registry = Registry(server)
    with server.running(), ThreadPoolExecutor(8) as clients:
        answers = [clients.submit(server.image) for _ in range(200)]
        for number in (2, 1, 3):
            registry.number = number
            registry.follower.look()
        assert {answer.result()[0] for answer in answers} == {200}
        assert answered_by(server) == "models:/m/3"
    assert server.figure('headstart_swaps_total{outcome="swapped"}') == 3


def test_a_version_that_does_not_answer_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(Settings())
    registry = Registry(server)
    registry.networks[2] = Broken
    with server.running():
        registry.number = 2
        for _ in range(3):
            registry.follower.look()
        assert registry.prepared == ["models:/m/2"]  # it is tried again later
        server.problem = registry.follower.problem
        status, state, _ = server.get("/readyz")
        assert (status, state["model_version"]) == (200, "models:/m/1")
        assert "expected probabilities of 2 classes" in state["problem"]
        monkeypatch.setattr(registry.follower, "_retry_at", 0.0)
        registry.follower.look()
        assert registry.prepared == ["models:/m/2"] * 2
        registry.number = 1  # a rollback
        registry.follower.look()
        assert registry.follower.problem is None
        assert answered_by(server) == "models:/m/1"


@pytest.mark.parametrize("error", [TrackingUnreachable("nothing answers"), TrackingError("no such alias")])
def test_a_server_answers_without_its_registry(error: Exception) -> None:
    server = Server(Settings())
    registry = Registry(server)
    with server.running():
        registry.error, registry.number = error, 2
        registry.follower.look()
        assert str(error) in str(registry.follower.problem)
        assert answered_by(server) == "models:/m/1"
        registry.error = None
        registry.follower.start()
        wait_for(lambda: server.live.current.name == "models:/m/2", 30)
        registry.follower.end()
        assert answered_by(server) == "models:/m/2"


def test_the_reason_of_a_version_that_fails_is_known_again_after_an_outage() -> None:
    server = Server(Settings())
    registry = Registry(server)
    registry.networks[2], registry.number = Broken, 2
    with server.running():
        for error in (None, TrackingUnreachable("nothing answers"), None):
            registry.error = error
            registry.follower.look()
            is_known = "expected probabilities of 2 classes" in str(registry.follower.problem)
            assert is_known == (error is None)
        registry.number, registry.networks[3] = 3, Network
        registry.follower.look()
        assert registry.follower.problem is None


class Small(Network):
    """Stands for a network whose memory does not do for a whole pass."""

    def predict_pixels(self, pixels: np.ndarray) -> np.ndarray:
        return super().predict_pixels(pixels) * (1.0 if len(pixels) < 4 else np.nan)


def test_a_version_is_tried_on_a_whole_pass() -> None:
    network = Server(Settings()).version(2, small := Small())
    with pytest.raises(ModelError, match="answers 4 grey pictures with"):
        probe(Opened("models:/m/2", "models:/m/2", cast(Any, small)), 4)
    network.close()


def test_a_model_without_probabilities_is_not_served() -> None:
    network = Server(Settings()).version(2, broken := Broken())
    with pytest.raises(ModelError, match="answers 1 grey pictures with"):
        probe(Opened("models:/m/2", "models:/m/2", cast(Any, broken)), 4)
    network.close()
