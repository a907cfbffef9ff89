"""Every error a user can meet. The command line prints its message without a traceback and exits with 1."""

import re

LOGIN = re.compile(  # behind the user's name a slash may follow too, unless a port is there
    r"""(?<=://)(?:[^/\s"'<>]*@|[^/\s:@\["'<>]+:(?!\d+(?:[/?#\s]|$))[^\s@"'<>]*@)"""
)
PASSWORD = re.compile(r"://[^/\s:@]*:[^/\s@]+@")
SECRET_VALUE = re.compile(
    r"""([?&;](?:[\w.-]*(?:token|secret|signature|passw(?:or)?d|credential|access-?key)[\w.-]*|sig|(?:api)?[_-]?key)=)"""
    r"""[^&;\s"'<>]+""",
    re.IGNORECASE,
)


def without_password(text: str) -> str:
    """An address, or a text with addresses, without logins and secret values of queries: safe to show."""
    return SECRET_VALUE.sub(r"\1...", LOGIN.sub("", text)) if "://" in text else text


def has_password(text: str) -> bool:
    """Whether a text has an address with a password or a secret value, rather than a user's name alone."""
    return bool(PASSWORD.search(text) or SECRET_VALUE.search(text)) and "://" in text


class HeadstartError(Exception):
    """Base class: the message names the value, what was expected and what to do next.

    Addresses in it lose their passwords: messages are printed, logged and stored by servers.
    """

    def __init__(self, *given: object) -> None:
        super().__init__(*(without_password(part) if isinstance(part, str) else part for part in given))


class ParamsError(HeadstartError):
    """A key in params.yaml is unknown or has a wrong value, or one that DVC needs is missing."""


class DefaultsUsed(UserWarning):
    """Keys are missing in params.yaml, and their defaults are used."""


class DataError(HeadstartError):
    """The images or their folders cannot be used by a stage."""


class NothingKept(DataError):
    """No server has kept answers in this folder, or none that can be used."""


class BackboneError(HeadstartError):
    """Backbone weights are unreachable, damaged or for another architecture."""


class ModelError(HeadstartError):
    """A layer's name or shape does not fit the network."""


class DamagedFile(HeadstartError):
    """A file is missing or cut off, or cannot be read as what it should be."""


class DeterminismError(HeadstartError):
    """A recomputed row differs from the stored one."""


class ArgumentError(HeadstartError, ValueError):
    """A function that is called from Python was given what it does not take."""


class StaleResults(HeadstartError):
    """The results are missing, or older than the code, data or parameters of their project."""


class StageError(HeadstartError):
    """A stage of dvc.yaml failed, or was run in the wrong tree."""


class TrackingError(HeadstartError):
    """MLflow is unreachable or refuses a request."""


class LineageError(HeadstartError):
    """Git or DVC cannot determine how a result was made."""


class UnreachableError(HeadstartError):
    """A server or remote does not answer at the moment; a retry may help."""


class TrackingUnreachable(TrackingError, UnreachableError):
    """MLflow does not answer."""


class RemoteUnreachable(LineageError, UnreachableError):
    """The DVC or git remote cannot be read or written at the moment."""


class WorkerLost(StageError, UnreachableError):
    """The worker that took a stage is gone; another may run it again."""


class SourceUnreachable(DataError, UnreachableError):
    """The source of new images cannot be read at the moment."""
