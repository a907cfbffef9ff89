"""Settings of `headstart serve`."""

import ipaddress
import os
import re
from dataclasses import dataclass
from pathlib import Path

from headstart.errors import ArgumentError
from headstart.host.bounded_server import CONNECTIONS

TOKENS, TOKENS_FILE = "HEADSTART_SERVE_TOKENS", "HEADSTART_SERVE_TOKENS_FILE"
WAITING = 8  # requests to /explain without an answer
SPARE = 64  # connections for probes, refusals, and requests that arrive
SHORTEST_TOKEN = 16  # characters
BEARER = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750


@dataclass(frozen=True)
class Settings:
    """Where the server listens, and its bounds.

    Attributes:
        is_open: whether anyone who reaches the port is answered.
        max_batch: images per forward pass.
        max_delay_ms: for which a forward pass waits for images of requests that are being read.
        passes: forward passes at once; 0 chooses by the device.
        max_queue: requests that are unanswered, with those that are worked on.
        max_images: per request.
        max_body: MiB per request.
        seconds: for an answer, with the wait for its turn.
        follow_seconds: between two looks at the alias.
    """

    host: str = "127.0.0.1"
    port: int = 5001
    is_open: bool = False
    max_batch: int = 16
    max_delay_ms: float = 25.0
    passes: int = 0
    max_queue: int = 128
    max_images: int = 1000
    max_body: int = 64
    seconds: float = 60.0
    follow_seconds: float = 10.0

    def __post_init__(self) -> None:
        for name, least, most in RANGES:
            value = getattr(self, name)
            if not least <= value <= most:
                option = "--" + name.replace("_", "-")
                raise ArgumentError(f"{option} is {value:g}; expected {least:g} to {most:g}")

    @property
    def connections(self) -> int:
        """Connections held at once: at least as many as are needed."""
        return max(CONNECTIONS, self.connections_needed)

    @property
    def connections_needed(self) -> int:
        """Connections of all requests that may wait for an answer, at any door, and some to spare."""
        return self.max_queue + WAITING + SPARE

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches the server."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


RANGES = (
    ("port", 0, 65535),
    ("max_batch", 1, 256),
    ("max_delay_ms", 0, 10_000),
    ("passes", 0, 16),
    ("max_queue", 1, 10_000),
    ("max_images", 1, 100_000),
    ("max_body", 1, 1024),
    ("seconds", 0.1, 3600),
    ("follow_seconds", 0.1, 86_400),
)


def tokens_for(settings: Settings) -> tuple[str, ...]:
    """The bearer tokens of the environment, one of which each request needs; none for an open server.

    Raises:
        ArgumentError: other machines reach the server, but nothing says who may ask; or a token is short.
    """
    found = _tokens()
    if found and settings.is_open:
        raise ArgumentError(f"--open answers anyone, but {TOKENS} or {TOKENS_FILE} is set: leave one out")
    if not (found or settings.is_open or settings.is_loopback):
        raise ArgumentError(
            f"--host {settings.host} can be reached from other machines: set {TOKENS} (separated by commas) "
            f"or {TOKENS_FILE} (one per line) to the bearer tokens of its clients, or answer anyone: --open"
        )
    if any(len(token) < SHORTEST_TOKEN for token in found):
        raise ArgumentError(
            f"{TOKENS} or {TOKENS_FILE} holds a token of fewer than {SHORTEST_TOKEN} characters; "
            "`openssl rand -hex 24` makes one"
        )
    if not all(map(BEARER.fullmatch, found)):
        raise ArgumentError(
            f"{TOKENS} or {TOKENS_FILE} holds a token with other characters than ASCII letters, digits and "
            "-._~+/=, which clients cannot send; `openssl rand -hex 24` makes one"
        )
    return found


def _tokens() -> tuple[str, ...]:
    given = os.environ.get(TOKENS, "").split(",")
    if name := os.environ.get(TOKENS_FILE):
        given += _lines(Path(name))
    return tuple(token.strip() for token in given if token.strip())


def _lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ArgumentError(f"{TOKENS_FILE}: {path} cannot be read ({error}); correct the path") from error
    if not any(map(str.strip, lines)):
        raise ArgumentError(f"{TOKENS_FILE}: {path} holds no token; write one per line, or leave it out")
    return lines
