"""Figures of the server in Prometheus' format: requests, errors, times, batches, confidence and version."""

from collections.abc import Callable

import numpy as np
import prometheus_client as prometheus
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headstart.versions.serving.answers import Answer

DOORS = ("/predict", "/invocations")
SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
BATCH = (1, 2, 4, 8, 16, 32, 64, 128, 256)
CONFIDENCE = tuple(round(0.1 * step, 1) for step in range(1, 11))
BYTES = tuple(1 << power for power in range(12, 27, 2))  # 4 KiB to 64 MiB


class Metrics:
    """The figures since the server started."""

    def __init__(self) -> None:
        self.registry = own = prometheus.CollectorRegistry()
        prometheus.ProcessCollector(registry=own)  # memory, open files, processor time
        self.requests = prometheus.Counter(
            "headstart_requests", "Requests by door and status.", ["door", "status"], registry=own
        )
        self.seconds = prometheus.Histogram(
            "headstart_request_seconds",
            "Time until the answer, by door.",
            ["door"],
            registry=own,
            buckets=SECONDS,
        )
        self.images = prometheus.Counter(
            "headstart_images", "Images by outcome: label, refused, unreadable.", ["outcome"], registry=own
        )
        self.confidence = prometheus.Histogram(
            "headstart_confidence", "Highest probability per image.", registry=own, buckets=CONFIDENCE
        )
        self.sizes = prometheus.Histogram(
            "headstart_image_bytes", "Bytes per image file.", registry=own, buckets=BYTES
        )
        self.batches = prometheus.Histogram(
            "headstart_batch_images", "Images per forward pass.", registry=own, buckets=BATCH
        )
        self.queue = prometheus.Gauge("headstart_queue_requests", "Unanswered requests.", registry=own)
        self.version = prometheus.Gauge(
            "headstart_version", "1 for the version that answers.", ["model_version"], registry=own
        )
        self.swaps = prometheus.Counter(
            "headstart_swaps", "Changes of the alias by outcome: swapped, failed.", ["outcome"], registry=own
        )
        self.kept = prometheus.Counter(
            "headstart_kept",
            "Images to be kept, by outcome: kept, without_image, repeated, dropped, failed.",
            ["outcome"],
            registry=own,
        )

    def answered(self, row: Answer) -> None:
        """Count an image by its answer."""
        label, probabilities, _, _ = row
        if probabilities is None:
            self.images.labels("unreadable").inc()
            return
        self.images.labels("refused" if label is None else "label").inc()
        self.confidence.observe(float(np.max(list(probabilities.values()))))

    def serves(self, version: str) -> None:
        """Name the version that answers from now on."""
        self.version.clear()
        self.version.labels(version).set(1)

    def text(self) -> bytes:
        """All figures, as `/metrics` shows them."""
        return prometheus.generate_latest(self.registry)


class Counted:
    """Middleware that counts requests and their time, refused ones too."""

    def __init__(self, app: ASGIApp, metrics: Metrics, now: Callable[[], float]) -> None:
        self._app, self._metrics, self._now = app, metrics, now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = self._now(), "closed"

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, note)
        finally:
            door = scope["path"] if scope["path"] in DOORS else "other"
            self._metrics.requests.labels(door, status).inc()
            self._metrics.seconds.labels(door).observe(self._now() - began)
