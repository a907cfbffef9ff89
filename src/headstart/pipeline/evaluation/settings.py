"""Section `evaluate` of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from headstart.ground.settings import Count, Level, Section, Seed

Cost = Annotated[float, Field(ge=1e-100, le=1e100)]  # its square is a number too


class Evaluate(Section):
    """Section `evaluate`: intervals and cross-validation of the report, and what mistakes cost."""

    confidence: Level = 0.95
    """confidence level of the intervals"""
    resamples: Count = 2000
    """resamples of the bootstrap, for the loss"""
    folds: Literal[0] | Annotated[int, Field(ge=3, le=50)] = 5
    """parts of all images for the report's cross-validation; 0 leaves it out"""
    seed: Seed = 0
    """seed of the bootstrap, of the draws of the learning curve and of the folds"""
    costs: dict[str, Cost] | None = None
    """cost of a mistake by the class of the image, for two classes; None: both cost 1"""
