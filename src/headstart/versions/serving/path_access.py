"""Images that a request names by path or URL, read only from places that the operator allows."""

import os
from pathlib import Path
from urllib.parse import unquote

from headstart.errors import DataError

SETTING = "HEADSTART_PATHS"
EVERYTHING = "*"
LARGEST_BYTES = 256 << 20


class PathAccess:
    """Folders and URL prefixes from which files may be read; links and `..` cannot escape them.

    Args:
        setting: comma-separated places, such as `/srv/images,s3://bucket/images`; `*` allows everything
            that this process can read; an empty setting allows nothing.
    """

    def __init__(self, setting: str) -> None:
        places = [place.strip() for place in setting.split(",") if place.strip()]
        self._all = EVERYTHING in places
        self._urls = [place.rstrip("/") + "/" for place in places if _is_url(place)]
        self._folders = [
            Path(place).resolve() for place in places if not _is_url(place) and place != EVERYTHING
        ]
        self.nothing = not places

    @classmethod
    def from_environment(cls) -> "PathAccess":
        return cls(os.environ.get(SETTING, ""))

    def read(self, path: str) -> bytes:
        """The bytes of a file.

        Raises:
            DataError: the file is not below an allowed place, or is missing, unreachable or too large.
        """
        local = _local(path)
        if not self._all and not (self._allows_url(path) if local is None else self._allows_file(local)):
            raise DataError(f"{path} is not below a place that {SETTING} allows")
        data = _read_url(path) if local is None else _read_file(local)
        if len(data) > LARGEST_BYTES:
            raise DataError(f"{path} is larger than {LARGEST_BYTES >> 20} MiB")
        return data

    def _allows_file(self, path: Path) -> bool:
        return any(path.resolve().is_relative_to(folder) for folder in self._folders)

    def _allows_url(self, url: str) -> bool:
        plain = unquote(url).replace("\\", "/")
        is_plain = "::" not in plain and ".." not in plain.split("/")  # `::` chains file systems in fsspec
        return is_plain and any(url.startswith(place) for place in self._urls)


def is_remote(path: str) -> bool:
    """Whether a path names something beyond this machine's files."""
    return _local(path) is None


def _is_url(path: str) -> bool:
    return "://" in path


def _local(path: str) -> Path | None:
    """The file on this machine that a path names; None for a URL."""
    for scheme in ("file://", "local://"):
        path = path.removeprefix(scheme)
    return None if _is_url(path) else Path(path)


def _read_file(path: Path) -> bytes:
    try:
        if not path.is_file():  # reading a pipe or device might never end
            raise DataError(f"there is no file {path}")
        with path.open("rb") as file:
            return file.read(LARGEST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _read_url(url: str) -> bytes:
    import fsspec

    try:
        with fsspec.open(url, "rb") as file:
            data: bytes = file.read(LARGEST_BYTES + 1)
    except Exception as error:  # each kind of source raises its own errors
        reason = error.__cause__ or error  # fsspec reports an unreachable web server as "not found"
        raise DataError(f"{url} cannot be read: {type(reason).__name__}: {reason}") from error
    return data
