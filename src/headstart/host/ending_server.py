"""A server that ends within its time: SIGTERM lets requests end, a second one ends the process at once."""

import os
import signal
import socket
import sys
import threading
from types import FrameType

import uvicorn

from headstart.host.ending import STATUS

GRACE = 3.0  # seconds beyond those for requests, for threads that hang in a read


class EndingServer(uvicorn.Server):
    """Ends `timeout_graceful_shutdown` seconds after a signal at the latest; what hangs has GRACE more."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            _end_now(sig)
        super().handle_exit(sig, frame)
        seconds = (self.config.timeout_graceful_shutdown or 0) + GRACE
        last = threading.Timer(seconds, _end_now, (sig,))
        last.daemon = True
        last.start()


def listen(config: uvicorn.Config) -> socket.socket:
    """Bind the port; from then on clients wait instead of being refused."""
    bound = config.bind_socket()
    bound.listen(config.backlog)
    return bound


def _end_now(sig: int) -> None:
    """End without the rest of `finally` blocks: they wait for threads."""
    text = f"\nended by {signal.Signals(sig).name}: requests were left\n"
    os.write(sys.stderr.fileno(), text.encode())  # `print` may be what the signal interrupted
    os._exit(STATUS[signal.Signals(sig)])
