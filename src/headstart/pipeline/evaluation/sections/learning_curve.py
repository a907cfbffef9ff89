"""Section "Learning curve" of the report: would more training images help?"""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from headstart.pipeline.evaluation.intervals import Interval
from headstart.pipeline.evaluation.paired_difference import difference
from headstart.pipeline.evaluation.report import Figure, Section, figures
from headstart.pipeline.evaluation.results import Results
from headstart.pipeline.evaluation.sections import learning_curve_plots
from headstart.pipeline.evaluation.sections.growth import DRAWS, WIDEST, gain, grow, hindrance
from headstart.pipeline.evaluation.wording import share
from headstart.pipeline.pages.html import fragment

PACKAGE = "headstart.pipeline.evaluation.sections"
TEMPLATE = "learning_curve.html.j2"
CLOSE = 0.06  # a difference of accuracies that is surely smaller leaves two curves alike
LITTLE = 0.1  # points of accuracy that nobody would notice

Mask = NDArray[np.bool_]
Numbers = NDArray[np.int64]

UNKNOWN = "What twice the training images would add cannot be said from this curve"
SCATTERED = f"its points scatter too much, so that the interval is wider than {100 * WIDEST:g} points"


def section(results: Results) -> Section:
    """The accuracy of a probe by the number of training images, and its extrapolation to twice as many."""
    vectors = results.vectors
    if vectors is None:
        return Section("Learning curve", fragment(PACKAGE, TEMPLATE, {"percent": share}, growth=None))
    families = results.families
    test = results.table["row"].to_numpy(np.int64)
    growth = grow(
        vectors,
        results.classes_of_images,
        families,
        (results.images["split"] == "train").to_numpy(),
        test,
        len(results.classes),
        results.options.seed,
    )
    groups = np.unique(families[test], return_inverse=True)[1]
    confidence = results.options.confidence
    expected = gain(growth, groups, confidence, results.options.seed)
    accuracies = growth.accuracies
    rows = [
        (round(size), values.mean(), values.min(), values.max())
        for size, values in zip(growth.sizes.tolist(), accuracies.T, strict=True)
    ]
    caption = "Accuracy on the test images by the number of training images."
    png = learning_curve_plots.curve_png(growth.sizes, accuracies, results.metrics.accuracy, expected)
    html = fragment(
        PACKAGE,
        TEMPLATE,
        {"percent": share},
        growth=growth,
        images=len(test),
        draws=DRAWS,
        rows=rows,
        sentence=sentence(expected, confidence, hindrance(growth, groups) or SCATTERED),
        comparison=comparison(growth.right[0, -1], results.predicted == results.labels, groups, confidence),
        figure=figures(Figure("Learning curve", caption, png, f"Learning curve: {caption}")),
    )
    return Section("Learning curve", html)


def sentence(expected: Interval | None, confidence: float, unknown: str = SCATTERED) -> str:
    """The sentence on twice the training images.

    Args:
        expected: interval of the accuracy's rise, as a share; None if it cannot be said.
        unknown: why not.
    """
    if expected is None:
        return f"{UNKNOWN}: {unknown}."
    opening = "Twice the training images, of the same kind, would add"
    level = f"{confidence * 100:g}% interval"
    low, high = 100 * expected.low, 100 * expected.high
    if high < LITTLE:
        return f"{opening} next to nothing ({level}: {low:.1f} to {high:.1f} points)."
    if low < LITTLE:
        return (
            f"{opening} at most about {high:.1f} points of accuracy, and perhaps nothing "
            f"({level}: {low:.1f} to {high:.1f} points)."
        )
    return f"{opening} about {low:.1f} to {high:.1f} points of accuracy ({level})."


def comparison(probe: Mask, head: Mask, groups: Numbers, confidence: float) -> str:
    """The sentence on how the probe, trained on all training images, compares with the head.

    Args:
        probe: bool [N], the test images that it labels right.
        head: the same of the head.
        groups: int64 [N], the group of each test image, from 0; a sign test compares the sums of groups.
    """
    said = (
        f"With all training images the probe labels {share(probe.mean())} of the test images right, the head "
        f"{share(head.mean())}"
    )
    sums = np.bincount(groups, weights=head.astype(np.float64) - probe)
    better, worse = int((sums > 0).sum()), int((sums < 0).sum())
    if better + worse == 0 or binomtest(better, better + worse).pvalue > 1 - confidence:
        _, gap = difference(head, probe, confidence, groups.astype(str).tolist())
        if max(-gap.low, gap.high) <= CLOSE:
            return f"{said}, a difference within chance: the curve is roughly that of the head."
        return f"{said}, a difference within chance, but these test images are too few to call the two alike."
    if better > worse:
        return (
            f"{said}. The head makes more of the same images, so the direction of the curve "
            "is likely to hold for it, but not its height."
        )
    return (
        f"{said}. The probe makes more of the same images: before you collect more, look at the head's "
        "training (train.lr, train.epochs, train.weight_decay)."
    )
