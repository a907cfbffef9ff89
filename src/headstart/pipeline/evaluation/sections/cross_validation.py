"""Section "Cross-validation" of the report: the probe's accuracy on all images, beside the test images'."""

import numpy as np

from headstart.pipeline.evaluation.intervals import Interval, of_share
from headstart.pipeline.evaluation.probe import fit, sums_of
from headstart.pipeline.evaluation.report import Section
from headstart.pipeline.evaluation.results import Results
from headstart.pipeline.evaluation.sections.folds import cross_validate
from headstart.pipeline.evaluation.sections.slice_tests import p_worse, rest_share, strata_of
from headstart.pipeline.evaluation.wording import share
from headstart.pipeline.pages.html import fragment

PACKAGE = "headstart.pipeline.evaluation.sections"
TEMPLATE = "cross_validation.html.j2"
TITLE = "Cross-validation"


def section(results: Results) -> Section | None:
    """Accuracies of head and probe on the test images, and of the probe on all; None if turned off."""
    options = results.options
    if not options.folds:
        return None
    vectors, labels, families = results.vectors, results.classes_of_images, results.families
    groups = len(np.unique(families))
    if vectors is None or groups < options.folds:
        return Section(
            TITLE,
            fragment(PACKAGE, TEMPLATE, {"percent": share}, folds=options.folds, groups=groups, found=None),
        )
    classes = len(results.classes)
    found = cross_validate(
        vectors, labels, families, classes, options.folds, options.confidence, options.seed
    )
    test = (results.images["split"] == "test").to_numpy()
    train = (results.images["split"] == "train").to_numpy()
    probe = fit(sums_of(vectors[train], labels[train], classes))
    alone = probe.classes_of(vectors[test]) == labels[test]
    names = families[test].astype(str).tolist()
    own = of_share(alone, names, options.confidence)
    rows: list[tuple[str, str, int, float, Interval]] = [
        ("Head", "test images", len(alone), results.metrics.accuracy, results.metrics.intervals["accuracy"]),
        ("Probe", "test images", len(alone), float(alone.mean()), own),
        ("Probe, cross-validated", "all images", len(labels), found.accuracy, found.interval),
    ]
    strata, grouped = strata_of(labels), groups < len(labels)
    numbers = families if grouped else None
    harder = p_worse(found.right, test, strata, numbers)
    easier = p_worse(found.right, ~test, strata, numbers)
    html = fragment(
        PACKAGE,
        TEMPLATE,
        {"percent": share},
        found=found,
        folds=options.folds,
        more=1 - 1 / options.folds > float(train.mean()),
        rows=rows,
        inside=float(found.right[test].mean()),
        outside=rest_share(found.right, test, strata),
        verdict=_verdict(harder, easier, 1 - options.confidence),
        confidence=options.confidence,
    )
    return Section(TITLE, html)


def _verdict(harder: float, easier: float, level: float) -> str:
    """The sentence on whether the test images are like the others, of two one-sided p-values."""
    if 2 * min(harder, easier) > level:
        return (
            "That is no more than chance: these images do not show that the test images are harder or easier."
        )
    if harder < easier:
        return "That is more than chance: the test images are harder than the others of their classes."
    return (
        "That is more than chance: the test images are easier than the others of their classes, and the "
        "accuracy on them is likely to be better than on new ones."
    )
