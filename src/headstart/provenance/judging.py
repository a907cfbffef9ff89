"""The gate's decision on a version, recorded on it with the page of what made it."""

from collections.abc import Callable

from headstart.params import Params
from headstart.provenance import origin
from headstart.registry import gate
from headstart.registry.decision import Decision


def judge(name: str, number: str, params: Params, say: Callable[[str], object]) -> Decision:
    """See `gate.check`, whose errors it has."""
    decision = gate.check(name, number, gate.GateSettings.of(params), say=say)
    origin.keep_page(f"models:/{name}/{number}")
    return decision
