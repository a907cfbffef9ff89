"""The trials that params.yaml lists or samples, with every setting filled in."""

import math
from typing import Any

import numpy as np

from headstart.ground import runtime
from headstart.pipeline.network.network import Network
from headstart.pipeline.training.settings import Range, Sample, Train, Trial
from headstart.pipeline.training.trial_dropout import planned_dropout, sets_dropout

SETTINGS = tuple(Trial.model_fields)


def planned_trials(train: Train, network: Network) -> list[Trial]:
    """The trials to train; settings that a trial leaves out take the common value.

    `dropout` stays None if no trial sets it: then each layer keeps its own rate.

    Raises:
        ParamsError: a trial sets `dropout`, but no dropout layer comes after the cut.
    """
    if train.trials is None:
        return []
    listed = _sampled(train.trials) if isinstance(train.trials, Sample) else train.trials
    common: dict[str, Any] = {name: getattr(train, name) for name in SETTINGS if name != "dropout"}
    if sets_dropout(train.trials):
        common["dropout"] = planned_dropout(network)
    return [Trial(**common | trial.model_dump(exclude_none=True)) for trial in listed]


def _sampled(sample: Sample) -> list[Trial]:
    random = runtime.generator(sample.seed)
    choices = {name: getattr(sample, name) for name in SETTINGS if getattr(sample, name) is not None}
    return [
        Trial(**{name: _drawn(random, within) for name, within in choices.items()})
        for _ in range(sample.count)
    ]


def _drawn(random: np.random.Generator, within: Range | list[float]) -> float:
    if isinstance(within, list):
        return float(within[random.integers(len(within))])
    if within.log:
        return math.exp(random.uniform(math.log(within.low), math.log(within.high)))
    return float(random.uniform(within.low, within.high))
