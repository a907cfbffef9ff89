"""How far probabilities can be acted on: their temperature, thresholds with costs, and answers refused."""

from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from headstart.pipeline.evaluation import decisions
from headstart.pipeline.evaluation.decisions import Flags, Floats, PrCurve
from headstart.pipeline.evaluation.distances import nearest_training
from headstart.pipeline.evaluation.intervals import Interval, wilson
from headstart.pipeline.evaluation.report import Figure, Section, figures
from headstart.pipeline.evaluation.results import Results
from headstart.pipeline.evaluation.sections import probability_plots as plots
from headstart.pipeline.evaluation.sections import thresholds
from headstart.pipeline.evaluation.wording import FILTERS, threshold
from headstart.pipeline.features.examples import rows_of
from headstart.pipeline.network.temperature import fit_factor, rescaled
from headstart.pipeline.pages.html import fragment

PACKAGE = "headstart.pipeline.evaluation.sections"
TEMPLATE = "probabilities.html.j2"
RATES = (0.05, 0.1, 0.2)
DRAWN = 6  # precision-recall curves, of the classes that are found worst
LEAST, MOST = 0.02, 50  # a temperature beyond these is that of a split with too few mistakes
ALIKE = 0.05  # a temperature within this of 1 changes nothing worth a remark


@dataclass(frozen=True)
class Claims:
    """How sure the answers are on average, and their log loss in nats, at one temperature."""

    confidence: float
    log_loss: float


@dataclass(frozen=True)
class Temperatures:
    """The probabilities with a temperature fitted to the validation split, and without one.

    Attributes:
        value: the temperature of the head, or, if it has none, the one that would be fitted.
        is_fitted: the head has it.
        fitted, plain: the test images at this temperature and at 1.
        images: of the validation split.
        helps: whether the test images show that the log loss is less with it.
    """

    value: float
    is_fitted: bool
    fitted: Claims
    plain: Claims
    images: int
    helps: bool

    @property
    def is_unknown(self) -> bool:
        return not LEAST < self.value < MOST

    @property
    def changes_little(self) -> bool:
        return abs(self.value - 1) < ALIKE


@dataclass(frozen=True)
class Refused:
    """A row of the table of refusals, on the test images; `accuracy` is None if none is answered."""

    by: str
    rate: float
    rule: str
    share: float
    accuracy: float | None
    interval: Interval | None
    mistakes: int


def section(results: Results) -> Section:
    """The section on probabilities; every threshold is chosen on validation and shown on test.

    Raises:
        ParamsError: `evaluate.costs` does not fit the classes.
    """
    right = results.predicted == results.labels
    curves, left_out = _curves(results)
    distances = _distances(results)
    refused = _refused(results, right, distances)
    points = {
        row.rate: (1 - row.share, row.accuracy)
        for row in refused
        if row.by == "confidence" and row.accuracy is not None
    }
    nearness = None if distances is None else -distances[1]
    coverage = plots.coverage_png(right, results.confidence, nearness, points)
    html = fragment(
        PACKAGE,
        TEMPLATE,
        FILTERS,
        accuracy=results.metrics.accuracy,
        mistakes=int((~right).sum()),
        temperature=_temperatures(results),
        level=results.options.confidence,
        figures=_figures(curves, left_out, coverage, has_distances=distances is not None),
        thresholds=thresholds.choice(results),
        refused=refused,
        has_distances=distances is not None,
    )
    return Section("Probabilities", html)


def _figures(curves: dict[str, PrCurve], left_out: int, coverage: bytes, *, has_distances: bool) -> Markup:
    rest = f", for the {DRAWN} classes with the lowest average precision; {left_out} more are not drawn"
    farthest = ", or those farthest from every training image" if has_distances else ""
    shown = {
        "Precision and recall": (
            f"Each class against the rest, on the test images{rest if left_out else ''}.",
            plots.pr_png(curves),
        ),
        "Refusing to answer": (
            "Accuracy among the test images that are answered, if those with the lowest confidence are "
            f"refused{farthest}. Dots: the shares below, with the threshold from the validation split.",
            coverage,
        ),
    }
    return figures(
        *(Figure(title, caption, png, f"{title}: {caption}") for title, (caption, png) in shown.items())
    )


def _temperatures(results: Results) -> Temperatures:
    own, is_fitted = results.temperature, results.temperature != 1
    value = own if is_fitted else fit_factor(results.validation.probabilities, results.validation.labels)
    given = results.probabilities
    fitted, plain = (given, rescaled(given, 1 / own)) if is_fitted else (rescaled(given, value), given)
    with_it, without = (_losses(each, results) for each in (fitted, plain))
    options = results.options
    saved = decisions.mean_interval(
        without - with_it, results.own_groups, options.confidence, options.resamples, options.seed
    )
    return Temperatures(
        value,
        is_fitted,
        Claims(float(fitted.max(1).mean()), float(with_it.mean())),
        Claims(float(plain.max(1).mean()), float(without.mean())),
        images=len(results.validation.labels),
        helps=saved.low > 0,
    )


def _losses(probabilities: Floats, results: Results) -> Floats:
    """The log loss of each test image in nats: float64 [N]."""
    own = probabilities[np.arange(len(results.labels)), results.labels]
    return np.asarray(-np.log(np.maximum(own, np.finfo(np.float64).eps)))


def _curves(results: Results) -> tuple[dict[str, PrCurve], int]:
    """The curves of the classes that are found worst, the worst first, and how many are left out."""

    def curve(index: int) -> PrCurve:
        return decisions.pr_curve(results.probabilities[:, index], results.labels == index)

    found = [(curve(index).average, results.classes[index], index) for index in np.unique(results.labels)]
    order = [index for _, _, index in sorted(found)]
    return {results.classes[index]: curve(index) for index in order[:DRAWN]}, len(order[DRAWN:])


def _distances(results: Results) -> tuple[Floats, Floats] | None:
    """Distances of validation and test images from training; None if the images are their own features."""
    if results.vectors is None:
        return None
    train, test = (rows_of(results.images, split, results.classes).indices for split in ("train", "test"))
    val, own = nearest_training(results.vectors, train, [results.validation.rows, test])
    return val, own


def _refused(results: Results, right: Flags, distances: tuple[Floats, Floats] | None) -> list[Refused]:
    measures = {"confidence": (results.validation.probabilities.max(1), results.confidence)}
    if distances is not None:
        measures["distance"] = (-distances[0], -distances[1])
    rows = []
    if (own_rule := results.abstention) is not None:
        answered = results.confidence >= own_rule.confidence
        limit = f"confidence below {threshold(own_rule.confidence)}, as this head does"
        rows.append(_row("head", own_rule.rate, limit, answered, right, results))
    for by, (known, own) in measures.items():
        for rate in RATES:
            found = decisions.refusal(known, rate, own)
            limit = (
                f"below {threshold(found.threshold)}"
                if by == "confidence"
                else f"above {-found.threshold:.3g}"
            )
            rows.append(_row(by, rate, f"{by} {limit}", found.answered, right, results))
    return rows


def _row(by: str, rate: float, rule: str, answered: Flags, right: Flags, results: Results) -> Refused:
    return Refused(
        by=by,
        rate=rate,
        rule=rule,
        share=float((~answered).mean()),
        accuracy=float(right[answered].mean()) if answered.any() else None,
        interval=decisions.share_interval(
            answered, right, results.own_groups, results.options.confidence, wilson
        )
        if answered.any()
        else None,
        mistakes=int((~right & ~answered).sum()),
    )
