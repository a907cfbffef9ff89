"""Every error a user can meet. The command line prints the message and exits 1; no traceback."""


class HeadstartError(Exception):
    """Base class: the message names the value, what was expected and what to do next."""


class ParamsError(HeadstartError):
    """A key of params.yaml is missing, unknown or has a wrong value."""


class DataError(HeadstartError):
    """The images or their folders are not what a stage can use."""


class BackboneError(HeadstartError):
    """Backbone weights are out of reach, damaged or of another architecture."""


class ModelError(HeadstartError):
    """A layer's name or shape does not fit the network."""


class DeterminismError(HeadstartError):
    """A recomputed row differs from the stored one."""


class StageError(HeadstartError):
    """A stage of dvc.yaml failed or stands in the wrong tree."""


class TrackingError(HeadstartError):
    """MLflow is out of reach or refuses what was asked of it."""


class LineageError(HeadstartError):
    """Git or DVC cannot say what made this result."""


class UnreachableError(HeadstartError):
    """A server or remote does not answer now: trying again later may help."""


class TrackingUnreachable(TrackingError, UnreachableError):
    """MLflow does not answer."""


class RemoteUnreachable(LineageError, UnreachableError):
    """The remote of DVC or git cannot be read or written now."""


class WorkerLost(StageError, UnreachableError):
    """Another worker took a stage and is gone: a worker may do it again."""


class SourceUnreachable(DataError, UnreachableError):
    """The source of new images cannot be read now."""
