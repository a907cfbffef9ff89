"""Signed webhooks: verify the sender and age, and reject repeats. Needs neither MLflow nor Prefect."""

import base64
import hashlib
import hmac
import os
import re
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from headstart.errors import HeadstartError

AGE_SECONDS = 300
REMEMBERED_SECONDS = 3 * AGE_SECONDS  # longer than any accepted age, even with clocks apart


class WebhookRefused(HeadstartError):
    """A delivery has a wrong signature, is too old, or was received before."""


def secret_in(path: Path) -> str:
    """Return the 32-byte secret in a file that only its owner can read, creating it if needed.

    It is URL-safe Base64, as MLflow requires for the key that encrypts its own secrets.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    text = base64.urlsafe_b64encode(os.urandom(32))
    new = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text)
        try:
            os.link(new, path)  # fails if another process was first
        except FileExistsError:
            path.chmod(0o600)
    finally:
        new.unlink()
    return path.read_text().strip()


def signature(secret: str, delivery: str, timestamp: str, body: bytes) -> str:
    """A signature as MLflow makes it: HMAC-SHA256 of `DELIVERY.TIMESTAMP.BODY`."""
    signed = f"{delivery}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest()).decode()


def verify(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> str:
    """Check a delivery's signature and age, and return its id.

    Raises:
        WebhookRefused: the signature is wrong or the delivery is too old.
    """
    delivery, timestamp, given = (
        headers.get(f"x-mlflow-{part}", "") for part in ("delivery-id", "timestamp", "signature")
    )
    expected = signature(secret, delivery, timestamp, body)
    if not delivery or not hmac.compare_digest(expected.encode(), given.encode()):
        raise WebhookRefused("the signature was not made with our secret")
    if not re.fullmatch("[0-9]{1,12}", timestamp):
        raise WebhookRefused("the timestamp is not in whole seconds since 1970")
    if abs(now - int(timestamp)) > AGE_SECONDS:
        raise WebhookRefused(f"timestamp {timestamp} is not within {AGE_SECONDS} s of now")
    return delivery


class Deliveries:
    """The ids of received deliveries, in a file so that they survive a restart."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(self._open()) as database, database:
            database.execute("create table if not exists deliveries (id text primary key, at real)")

    def take(self, delivery: str, now: float) -> None:
        """Record an id.

        Raises:
            WebhookRefused: a delivery with this id was received before.
        """
        with closing(self._open()) as database, database:
            database.execute("delete from deliveries where at < ?", (now - REMEMBERED_SECONDS,))
            try:
                database.execute("insert into deliveries values (?, ?)", (delivery, now))
            except sqlite3.IntegrityError:
                raise WebhookRefused(f"delivery {delivery} was received before") from None

    def forget(self, delivery: str) -> None:
        """Drop an id, so that a delivery that could not be handled may be sent again."""
        with closing(self._open()) as database, database:
            database.execute("delete from deliveries where id = ?", (delivery,))

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=30)
