"""Section `evaluate` of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from headstart.ground.settings import Count, Level, Section, Seed


class Evaluate(Section):
    """Section `evaluate`: the confidence intervals and the cross-validation of the report."""

    confidence: Level
    """confidence level of the intervals"""
    resamples: Count
    """resamples of the bootstrap, for the loss"""
    folds: Literal[0] | Annotated[int, Field(ge=3, le=50)]
    """parts of all images for the report's cross-validation; 0 leaves it out"""
    seed: Seed
    """seed of the bootstrap, of the draws of the learning curve and of the folds"""
