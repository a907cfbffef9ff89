"""Section "Slices" of the report: properties of images with which the model is right less often."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headstart.pipeline.evaluation.intervals import Interval, of_share
from headstart.pipeline.evaluation.report import Section
from headstart.pipeline.evaluation.results import Results
from headstart.pipeline.evaluation.sections.slice_facts import DATE, TIME, Slice, slices_of
from headstart.pipeline.evaluation.sections.slice_tests import holm, p_worse, rest_share, strata_of
from headstart.pipeline.evaluation.wording import share
from headstart.pipeline.pages.html import fragment

PACKAGE = "headstart.pipeline.evaluation.sections"
TEMPLATE = "slices.html.j2"
ROWS = 30
PICTURED = 8  # slices with pictures
PICTURES = 3  # of each
SIDE = 96


@dataclass(frozen=True, eq=False)
class Finding:
    """The accuracy in a slice, beside that of other images of the same classes.

    Attributes:
        rest: None if its classes have no other test images.
        groups: number of groups that the images belong to; None if there are no groups.
        p: corrected for the number of slices that were tested.
    """

    part: Slice
    images: int
    groups: int | None
    accuracy: float
    interval: Interval
    rest: float | None
    p: float

    @property
    def shortfall(self) -> float:
        """By how much the accuracy is below that of the others."""
        return 0.0 if self.rest is None else self.rest - self.accuracy


@dataclass(frozen=True)
class Picture:
    """A mistake in a slice."""

    path: str
    label: str
    predicted: str
    thumbnail_jpeg: bytes


def section(results: Results) -> Section:
    """The slices of the test images, worst first, and mistakes of those that are worse beyond chance."""
    sliced = slices_of(results.table, results.packed)
    groups = groups_of(results)
    findings = find(results, sliced.slices, groups)
    worse = [each for each in findings if each.p <= 1 - results.options.confidence]
    html = fragment(
        PACKAGE,
        TEMPLATE,
        {"percent": share, "p_value": _p_value},
        findings=findings[:ROWS],
        tested=len(findings),
        timed=any(each.part.fact in (DATE, TIME) for each in findings),
        worse=worse,
        pictured=[(each, _mistakes(results, each)) for each in worse[:PICTURED]],
        rare=sliced.rare,
        grouped=groups is not None,
        confidence=results.options.confidence,
    )
    return Section("Slices", html)


def groups_of(results: Results) -> NDArray[np.int64] | None:
    """The number of each test image's group: int64 [N]; None if the images count as independent."""
    if results.metrics.groups is None:
        return None
    names = results.table["group"].mask(results.table["group"] == "", results.table["pixels"])
    return np.asarray(np.unique(names.to_numpy(dtype=str), return_inverse=True)[1], np.int64)


def find(results: Results, slices: tuple[Slice, ...], groups: NDArray[np.int64] | None) -> list[Finding]:
    """Each slice with its accuracy and p-value, worst first."""
    right = results.predicted == results.labels
    strata = strata_of(results.labels)
    corrected = holm(np.array([p_worse(right, each.member, strata, groups) for each in slices]))
    findings = []
    for each, p in zip(slices, corrected, strict=True):
        own = right[each.member]
        inside = None if groups is None else groups[each.member].astype(str)
        findings.append(
            Finding(
                each,
                len(own),
                None if inside is None else len(set(inside)),
                float(own.mean()),
                of_share(own, None if inside is None else inside.tolist(), results.options.confidence),
                rest_share(right, each.member, strata),
                float(p),
            )
        )
    return sorted(findings, key=lambda found: (found.p, -found.shortfall, found.part.fact, found.part.value))


def _mistakes(results: Results, finding: Finding) -> list[Picture]:
    """The most confident mistakes of a slice."""
    wrong = np.flatnonzero(finding.part.member & (results.predicted != results.labels))
    order = wrong[np.argsort(-results.confidence[wrong], kind="stable")][:PICTURES]
    return [
        Picture(
            results.table["path"].iloc[place],
            results.classes[results.labels[place]],
            results.classes[results.predicted[place]],
            results.picture(int(place), SIDE),
        )
        for place in order.tolist()
    ]


def _p_value(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
