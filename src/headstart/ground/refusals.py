"""Errors of the system that a setting mends, in one line: a full disk, a folder that cannot be written."""

from pathlib import Path

from headstart.errors import without_password
from headstart.ground.paths import PARAMS, cache_folder

DISK_FULL = ("No space left on device", "Disk quota exceeded")  # libraries keep the text, not the number
NOT_WRITABLE = ("Read-only file system", "Permission denied", "Not a directory", "readonly database")


def explained(error: BaseException) -> str | None:
    """The error with what to do about it; None if it is of another kind."""
    said = without_password(str(error))
    if any(text in said for text in DISK_FULL):
        return f"the disk is full: {said}; make room and run it again: finished work is kept"
    if any(text in said for text in NOT_WRITABLE):
        return f"{said}; {_advice(said, getattr(error, 'filename', None))}"
    return None


def _advice(said: str, filename: object) -> str:
    cache, project = cache_folder(), Path.cwd()
    path = project / filename if isinstance(filename, str) else None
    if str(cache) in said or (path is not None and path in cache.parents):
        return "set HEADSTART_CACHE to a folder that can be written"
    if ".prefect" in said:
        return "set PREFECT_HOME to a folder that can be written"
    if PARAMS.exists() and (path is None or path.is_relative_to(project)):
        return f"a command writes into its project: make {project} writable, or copy it to a place that is"
    return "make it accessible to this user"
