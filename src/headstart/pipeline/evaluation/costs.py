"""The costs of mistakes that `evaluate.costs` names."""

from collections.abc import Mapping, Sequence

from headstart.errors import ParamsError
from headstart.pipeline.network.class_names import check_names


def costs_of(wanted: Mapping[str, float] | None, classes: Sequence[str]) -> list[float]:
    """`evaluate.costs` in the order of the classes; a class that it does not name has cost 1.

    Raises:
        ParamsError: it names a class that does not exist, or there are more than two.
    """
    if wanted and len(classes) != 2:
        raise ParamsError(
            f"evaluate.costs: there are {len(classes)} classes, and a threshold needs two; set it to null"
        )
    check_names("evaluate.costs", wanted or (), classes)
    return [float((wanted or {}).get(name, 1.0)) for name in classes]
