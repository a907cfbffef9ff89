"""Whether the network has the dropout that trials set; needs no tensor library."""

from collections.abc import Sequence

from headstart.errors import ParamsError
from headstart.pipeline.network.kinds import Dropout
from headstart.pipeline.network.network import Network
from headstart.pipeline.training.settings import Sample, Trial


def sets_dropout(trials: Sequence[Trial] | Sample | None) -> bool:
    """Whether a trial sets `dropout`."""
    given = [trials] if isinstance(trials, Sample) else trials or []
    return any(each.dropout is not None for each in given)


def planned_dropout(network: Network) -> float:
    """The rate of the first dropout layer after the cut.

    Raises:
        ParamsError: no dropout layer comes after the cut.
    """
    for layer in network.after:
        if isinstance(layer.kind, Dropout):
            return layer.kind.p
    raise ParamsError(
        "train.trials: dropout is set, but no dropout layer comes after the cut; leave it out, or use a "
        "head that has one (linear, mlp)"
    )
