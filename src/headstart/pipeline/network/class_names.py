"""Names of classes in params.yaml, compared with the classes of the images."""

from collections.abc import Iterable, Sequence

from headstart.errors import ParamsError
from headstart.pipeline.network.heads import nearest


def check_names(key: str, names: Iterable[str], classes: Sequence[str]) -> None:
    """Refuse names that are no class's.

    Args:
        key: the key of params.yaml that holds the names.

    Raises:
        ParamsError: one does not exist; the first is named, with the closest classes.
    """
    if unknown := [name for name in names if name not in classes]:
        raise ParamsError(f"{key}: there is no class {unknown[0]!r}{nearest(unknown[0], classes)}")
