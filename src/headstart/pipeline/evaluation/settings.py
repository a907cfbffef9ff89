"""Section `evaluate` of params.yaml."""

from headstart.ground.settings import Count, Level, Positive, Section, Seed


class Evaluate(Section):
    """Section `evaluate`: the confidence intervals of the report, and what mistakes cost."""

    confidence: Level
    """confidence level of the intervals"""
    resamples: Count
    """resamples of the bootstrap, for the loss"""
    seed: Seed
    """seed of the bootstrap"""
    costs: dict[str, Positive] | None
    """cost of a mistake by the class of the image, for two classes; None: both cost 1"""
