"""Check that a port is free before a server starts, or that a server answers.

`python -m headstart.host.ports HOST PORT SETTING` checks that a port is free.
"""

import socket
import sys
from urllib.parse import urlsplit

from headstart.errors import HeadstartError

CONNECT_SECONDS = 5


def reach(url: str) -> None:
    """Connect to the server of a web address and hang up.

    Raises:
        OSError: nothing answers there.
    """
    address = urlsplit(url)
    port = address.port or (443 if address.scheme == "https" else 80)
    socket.create_connection((address.hostname or "", port), CONNECT_SECONDS).close()


def check_free(host: str, port: int, setting: str) -> None:
    """Check that a server could listen on a port.

    Args:
        setting: the setting that holds the port, named in the error.

    Raises:
        HeadstartError: another program listens there, or the address is not one of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
    except OSError as error:
        raise HeadstartError(
            f"port {port} of {host} cannot be used ({error.strerror}): stop the program on it, or set "
            f"{setting} to another port"
        ) from error


if __name__ == "__main__":
    try:
        check_free(sys.argv[1], int(sys.argv[2]), sys.argv[3])
    except HeadstartError as error:
        sys.exit(f"error: {error}")
