"""Entries of a folder that are no files to read, beside one picture."""

import os
import socket
from pathlib import Path

from PIL import Image

REASONS = {
    "device.png": "is a device, expected a file",
    "gone.png": "No such file or directory",
    "loop.png": "Too many levels of symbolic links",
    "pipe.png": "is a pipe, expected a file",
    "socket.png": "is a socket, expected a file",
}
NOT_UTF8 = os.fsdecode(b"name\xff.png")


def make_odd_files(folder: Path, *, not_utf8: bool = False) -> None:
    """Make `good.png`, a picture, and one entry per key of REASONS; if wanted, a picture named NOT_UTF8."""
    folder.mkdir(parents=True, exist_ok=True)
    Image.linear_gradient("L").save(folder / "good.png")
    (folder / "device.png").symlink_to("/dev/zero")
    (folder / "gone.png").symlink_to("nowhere.png")
    (folder / "loop.png").symlink_to("loop.png")
    os.mkfifo(folder / "pipe.png")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "socket.png"))
    if not_utf8:
        Image.linear_gradient("L").save(folder / NOT_UTF8, "PNG")
