"""Sections of the repository's params.yaml, with a few keys changed."""

from functools import cache
from typing import Any

from projects import ROOT

from headstart.params import Params, load_params


def section(name: str, **changes: Any) -> Any:
    """A section by its name in params.yaml: `section("train", epochs=3)`."""
    return _params().section(name).changed(**changes)


@cache
def _params() -> Params:
    return load_params(ROOT / "params.yaml")
