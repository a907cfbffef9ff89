"""Images that a request names by path or URL, read only from places that the operator allows."""

import os
import re
from collections.abc import Awaitable, Callable
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from headstart.errors import DataError
from headstart.pipeline.data.reading import LARGEST_BYTES, read_file, shown

SETTING = "HEADSTART_PATHS"
EVERYTHING = "*"
WEB = ("http://", "https://")
WEB_SECONDS = 60.0  # for one image of a web server, redirects included
# Clients drop some of these or read them as a slash, so the address they fetch would be another.
REWRITTEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\\]")


class PathAccess:
    """Folders and URL prefixes from which files may be read; links, `..` and redirects cannot escape them.

    Args:
        setting: comma-separated places, such as `/srv/images,s3://bucket/images`; `*` allows everything
            that this process can read; an empty setting allows nothing.
    """

    def __init__(self, setting: str) -> None:
        places = [place.strip() for place in setting.split(",") if place.strip()]
        self._all = EVERYTHING in places
        self._urls = [
            _as_fetched(place.rstrip("/") + "/")
            for place in places
            if _local(place) is None and place != EVERYTHING
        ]
        local = [_local(place) for place in places if place != EVERYTHING]
        self._folders = [place.resolve() for place in local if place is not None]
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
        if not (self._allows_url(path) if local is None else self._allows_file(local)):
            raise _not_allowed(path)
        return self._read_url(path) if local is None else _read_file(local)

    def _allows_file(self, path: Path) -> bool:
        if self._all:
            return True
        try:
            real = Path(os.path.realpath(path))  # unlike `Path.resolve`, it takes a link that leads to itself
        except ValueError:  # it can name no file, so nothing is read; trying to gives the reason
            return True
        return any(real.is_relative_to(folder) for folder in self._folders)

    def _read_url(self, url: str) -> bytes:
        try:
            with self._open_url(url) as file:
                data: bytes = file.read(LARGEST_BYTES + 1)
        except Exception as error:  # each kind of source raises its own errors
            reason = error.__cause__ or error  # fsspec reports an unreachable web server as "not found"
            if isinstance(reason, DataError):
                raise reason from None
            raise DataError(f"{_printable(url)} cannot be read: {type(reason).__name__}: {reason}") from error
        if len(data) > LARGEST_BYTES:
            raise DataError(f"{url} is larger than {LARGEST_BYTES >> 20} MiB")
        return data

    def _open_url(self, url: str) -> Any:
        import fsspec

        return self._web.open(url, "rb") if _is_web(url) else fsspec.open(url, "rb")

    @cached_property
    def _web(self) -> Any:
        """The client of web servers; it asks for no address outside the allowed places."""
        import aiohttp
        import fsspec

        options = {"middlewares": (self._refuse,), "timeout": aiohttp.ClientTimeout(total=WEB_SECONDS)}
        return fsspec.filesystem("https", client_kwargs=options, skip_instance_cache=True)

    async def _refuse(self, request: Any, ask: Callable[[Any], Awaitable[Any]]) -> Any:
        """Refuse addresses that are not allowed; aiohttp calls it for each request, redirected ones too."""
        address = str(request.url)
        if not self._allows_url(address):
            raise _not_allowed(address)
        return await ask(request)

    def _allows_url(self, url: str) -> bool:
        if self._all:
            return True
        if "::" in url or REWRITTEN.search(url):  # `::` chains file systems in fsspec
            return False
        fetched = _as_fetched(url)
        climbs = ".." in _decoded(fetched).replace("\\", "/").split("/")
        return not climbs and any(fetched.startswith(place) for place in self._urls)


def is_remote(path: str) -> bool:
    """Whether a path names something beyond this machine's files."""
    return _local(path) is None


def _not_allowed(path: str) -> DataError:
    return DataError(f"{_printable(path)} is not below a place that {SETTING} allows")


def _printable(name: str) -> str:
    return name if name.isprintable() else repr(shown(name))


def _as_fetched(url: str) -> str:
    """An address as its client asks for it; web addresses are normalised by aiohttp's own parser."""
    import yarl

    return str(yarl.URL(url)) if _is_web(url) else url


def _is_web(url: str) -> bool:
    return url.lower().startswith(WEB)


def _decoded(url: str) -> str:
    """An address without percent-encoding, however often it was encoded."""
    while (plain := unquote(url)) != url:
        url = plain
    return url


def _local(path: str) -> Path | None:
    """The file on this machine that a path names; None for a URL."""
    for scheme in ("file://", "local://"):
        path = path.removeprefix(scheme)
    return None if "://" in path else Path(path)


def _read_file(path: Path) -> bytes:
    name = _printable(str(path))
    try:
        return read_file(path)
    except DataError as error:
        raise DataError(f"{name} {error}") from error
    except FileNotFoundError as error:
        raise DataError(f"there is no file {name}") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}") from error
