"""The packages of this environment that Headstart needs, and the lock file that pins them for a project."""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import metadata

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from headstart.errors import LineageError
from headstart.repository import environments

PACKAGE, DEVELOPERS = "headstart", "dev"
PIN = re.compile(r"(?m)^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)(?: ; ([^\\\n]+?))?(?: \\)?\n(?:[ \t].*\n)*")
HEADER = """\
# Every package that Headstart needs, as installed when the project began or was last upgraded: it is
# `headstart upgrade` that writes this file. A version is reproduced with those pinned when it was made.
"""


def python() -> str:
    """The running version of Python, as in 3.12."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def required() -> set[NormalizedName]:
    """The packages that Headstart itself names, without those behind them."""
    return {canonicalize_name(wanted.name) for wanted in _requirements(PACKAGE, frozenset())}


def extras() -> frozenset[str]:
    """The extras of Headstart that are installed here, such as `s3`, without that of its developers."""
    offered = metadata.metadata(PACKAGE).get_all("Provides-Extra") or []
    return frozenset(name for name in offered if name != DEVELOPERS and _is_installed(name))


def _is_installed(extra: str) -> bool:
    try:
        _closure({canonicalize_name(PACKAGE): frozenset({extra})})
    except LineageError:
        return False
    return True


def installed() -> dict[NormalizedName, str]:
    """Headstart's packages, with those that they need in turn, and their versions.

    Raises:
        LineageError: one is not installed.
    """
    return _closure({canonicalize_name(PACKAGE): extras()})


def with_needed(names: Iterable[str], left_out: re.Pattern[str]) -> dict[NormalizedName, str]:
    """Some packages, with those that they need in turn, and their versions here.

    Args:
        left_out: matches the names of packages that are not taken, nor what they need.

    Raises:
        LineageError: one is not installed.
    """
    start = {canonicalize_name(name): frozenset[str]() for name in names}
    return {name: _version(name, PACKAGE) for name in start} | _closure(start, left_out)


def _closure(
    start: Mapping[NormalizedName, frozenset[str]], left_out: re.Pattern[str] | None = None
) -> dict[NormalizedName, str]:
    found: dict[NormalizedName, str] = {}
    extras = dict(start)
    waiting = list(start)
    while waiting:
        name = waiting.pop()
        for wanted in _requirements(name, extras[name]):
            other = canonicalize_name(wanted.name)
            if left_out is not None and left_out.match(other):
                continue
            asked = extras.get(other, frozenset()) | wanted.extras
            if other not in extras or asked != extras[other]:
                extras[other] = asked
                waiting.append(other)
            found[other] = _version(other, name)
    return found


def lock(packages: Mapping[NormalizedName, str], released: str) -> str:
    """The text of requirements.lock for some packages.

    A version that this release of Headstart locks keeps the digests of its files, a package its marker, and
    those of other platforms are taken from the release. uv checks the digests that there are; pip wants all.

    Args:
        released: requirements.lock of the release, with the packages of its developers too.
    """
    others = [entry[0] for entry in PIN.finditer(released) if not _applies(entry[3])]
    return HEADER + "".join(sorted([*entries(packages, released).values(), *others], key=str.lower))


def entries(packages: Mapping[NormalizedName, str], released: str) -> dict[NormalizedName, str]:
    """The entry of each package for a lock file, with the digests that `lock` keeps."""
    known = {canonicalize_name(entry[1]): entry for entry in PIN.finditer(released) if _applies(entry[3])}
    return {name: _entry(name, version, known.get(name)) for name, version in packages.items()}


def _entry(name: str, version: str, released: re.Match[str] | None) -> str:
    if released is not None and released[2] == version:
        return released[0]
    marker = f" ; {released[3]}" if released is not None and released[3] else ""
    return f"{name}=={version}{marker}\n"


def _applies(marker: str | None) -> bool:
    return marker is None or Marker(marker).evaluate()


def _requirements(name: str, extras: frozenset[str]) -> Iterator[Requirement]:
    for wanted in _wanted(name):
        if wanted.marker is None or any(wanted.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield wanted


@cache
def _wanted(name: str) -> tuple[Requirement, ...]:
    return tuple(Requirement(text) for text in metadata.requires(name) or [])


def _version(name: str, asker: str) -> str:
    if (found := environments.installed(name)) == "none":
        raise LineageError(
            f"{asker} needs {name}, which is not installed: install headstart again, with what it needs"
        )
    return environments.public(found)
