"""Section `evaluate` of params.yaml."""

from headstart.ground.settings import Count, Level, Section, Seed


class Evaluate(Section):
    """Section `evaluate`: the confidence intervals of the report."""

    confidence: Level
    """confidence level of the intervals"""
    resamples: Count
    """resamples of the bootstrap, for the loss"""
    seed: Seed
    """seed of the bootstrap"""
