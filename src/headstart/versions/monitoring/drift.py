"""The comparison: subjects of the checks, the images on either side, and the verdict over all checks."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from headstart.ground.wording import share
from headstart.versions.monitoring.observing import Observed
from headstart.versions.monitoring.settings import Monitor
from headstart.versions.monitoring.two_sample import Outcome, energy_test, holm, largest_gap_test, shares_test
from headstart.versions.monitoring.unusual import unusualness

Verdict = Literal["no drift", "drift", "inconclusive"]
Kind = Literal["values", "shares", "rows"]

TRAIN, HELD_OUT = "training images", "held-out images"
LISTED = 200  # unusual images kept by name


@dataclass(frozen=True)
class Subject:
    """The subject of one check; `against` names the images of the version it is compared with."""

    name: str
    title: str
    column: str
    kind: Kind
    against: str


# Answers are compared with those for images that the version never saw: it is more confident about images it
# was trained on. Everything else does not depend on that, and is compared with the training images.
SUBJECTS = (
    Subject("classes", "Predicted classes", "label", "shares", HELD_OUT),
    Subject("confidence", "Confidence", "confidence", "values", HELD_OUT),
    Subject("features", "Features at the cut", "", "rows", TRAIN),
    Subject("brightness", "Brightness", "brightness", "values", TRAIN),
    Subject("contrast", "Contrast", "contrast", "values", TRAIN),
    Subject("sharpness", "Sharpness", "sharpness", "values", TRAIN),
    Subject("size", "Size in pixels", "size", "values", TRAIN),
    Subject("format", "File format", "format", "shares", TRAIN),
)


@dataclass(frozen=True)
class Reference:
    """A version's own images.

    Attributes:
        train: its training split.
        held_out: its test split.
        known: digests of all pictures that it was trained or selected on.
    """

    train: Observed
    held_out: Observed
    known: frozenset[str]


@dataclass(frozen=True)
class Check:
    """One comparison; if it was not made, `skipped` is the reason and there are no figures.

    Attributes:
        figure: in words, such as `median 0.52 -> 0.31`.
        statistic: how far apart in [0, 1]: the largest gap of distribution functions, the share of
            images that would have to change, or the relative energy distance.
        adjusted: the p-value after Holm's correction over all checks of the comparison.
    """

    name: str
    title: str
    against: str
    reference_images: int
    new_images: int
    figure: str
    statistic: float | None
    p_value: float | None
    adjusted: float | None
    drifted: bool
    skipped: str


@dataclass(frozen=True)
class Unusual:
    """A new image; `further_than` is the share of training images that are nearer to their neighbours."""

    path: str
    label: str
    confidence: float
    distance: float
    further_than: float


@dataclass(frozen=True)
class Drift:
    """Result of a comparison.

    Attributes:
        files: that the source holds; of them `looked_at`, of which `readable`, of which `distinct` pictures
            were compared; `seen` of these are known from training and left out of checks of answers.
        unusual: the least familiar first.
    """

    verdict: Verdict
    alpha: float
    min_images: int
    files: int
    looked_at: int
    readable: int
    distinct: int
    seen: int
    failures: tuple[tuple[str, str], ...]
    checks: tuple[Check, ...]
    unusual: tuple[Unusual, ...]

    @property
    def drifted(self) -> list[Check]:
        return [check for check in self.checks if check.drifted]

    def sentence(self) -> str:
        """The verdict in one line."""
        if self.verdict == "inconclusive":
            return f"inconclusive: {self.distinct} distinct images, at least {self.min_images} are needed"
        made = sum(not check.skipped for check in self.checks)
        if self.verdict == "no drift":
            return (
                f"no drift in {self.distinct} images: {made} checks, false-alarm rate at most {self.alpha:g}"
            )
        found = "; ".join(f"{check.title.lower()} {check.figure}" for check in self.drifted)
        return f"drift in {self.distinct} images: {found}"

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "sentence": self.sentence()}


def compare(reference: Reference, observed: Observed, files: int, looked_at: int, settings: Monitor) -> Drift:
    """Compare new images with a version's own.

    Copies of one picture count once, since the tests assume independent images.

    Args:
        files: how many the source holds.
        looked_at: how many of them were drawn.
    """
    pairs = sides(reference, observed)
    distinct, unseen = pairs[TRAIN][1], pairs[HELD_OUT][1]
    checks = _checks(pairs, settings)
    enough = len(distinct) >= settings.min_images and any(not check.skipped for check in checks)
    drifted = any(check.drifted for check in checks)
    return Drift(
        verdict="inconclusive" if not enough else "drift" if drifted else "no drift",
        alpha=settings.alpha,
        min_images=settings.min_images,
        files=files,
        looked_at=looked_at,
        readable=len(observed),
        distinct=len(distinct),
        seen=len(distinct) - len(unseen),
        failures=observed.failures,
        checks=checks,
        unusual=_unusual(reference.train, distinct),
    )


def sides(reference: Reference, observed: Observed) -> dict[str, tuple[Observed, Observed]]:
    """Both sides by kind of image: each new picture once; for answers, only those unknown to the version."""
    distinct = observed.where(~observed.table["pixels"].duplicated().to_numpy(dtype=bool))
    seen = distinct.table["pixels"].isin(reference.known).to_numpy(dtype=bool)
    return {TRAIN: (reference.train, distinct), HELD_OUT: (reference.held_out, distinct.where(~seen))}


def _checks(pairs: Mapping[str, tuple[Observed, Observed]], settings: Monitor) -> tuple[Check, ...]:
    """Every check with its p-value, then those that survive Holm's correction."""
    raw = [_check(subject, *pairs[subject.against], settings) for subject in SUBJECTS]
    made = [check for check in raw if check.p_value is not None]
    adjusted = dict(
        zip(
            (check.name for check in made),
            holm([check.p_value for check in made if check.p_value is not None]),
            strict=True,
        )
    )
    return tuple(
        Check(
            **{
                **vars(check),
                "adjusted": adjusted.get(check.name),
                "drifted": adjusted.get(check.name, 1.0) <= settings.alpha,
            }
        )
        for check in raw
    )


def _check(subject: Subject, reference: Observed, new: Observed, settings: Monitor) -> Check:
    skipped, figure, tested = "", "", None
    few = [
        f"{len(side)} {what}"
        for side, what in ((reference, subject.against), (new, "new images"))
        if len(side) < settings.min_images
    ]
    if few:
        skipped = f"{' and '.join(few)}; at least {settings.min_images} are needed"
    else:
        tested, figure = _tested(subject, reference, new, settings)
    return Check(
        name=subject.name,
        title=subject.title,
        against=subject.against,
        reference_images=len(reference),
        new_images=len(new),
        figure=figure,
        statistic=None if tested is None else tested.statistic,
        p_value=None if tested is None else tested.p_value,
        adjusted=None,
        drifted=False,
        skipped=skipped,
    )


def _tested(subject: Subject, reference: Observed, new: Observed, settings: Monitor) -> tuple[Outcome, str]:
    if subject.kind == "rows":
        found = energy_test(reference.features, new.features, settings.permutations, settings.seed)
        return found, f"energy distance {found.statistic:.3f}"
    left, right = reference.table[subject.column], new.table[subject.column]
    if subject.kind == "shares":
        names = [side.tolist() for side in (left, right)]
        found = shares_test(names[0], names[1], settings.permutations, settings.seed)
        return found, _largest_change(names[0], names[1])
    numbers = [side.to_numpy(dtype=np.float64) for side in (left, right)]
    found = largest_gap_test(numbers[0], numbers[1], settings.permutations, settings.seed)
    return found, f"median {_median(left)} -> {_median(right)}"


def _largest_change(reference: Sequence[str], new: Sequence[str]) -> str:
    """The name whose share changed most."""
    before, after = Counter(reference), Counter(new)
    shares = {name: (before[name] / len(reference), after[name] / len(new)) for name in {*before, *after}}
    name = max(sorted(shares), key=lambda each: abs(shares[each][0] - shares[each][1]))
    return f"{name} {share(shares[name][0])} -> {share(shares[name][1])}"


def _median(values: pd.Series) -> str:
    return f"{float(values.median()):.3g}"


def _unusual(train: Observed, new: Observed) -> tuple[Unusual, ...]:
    if len(train) < 2 or not len(new):
        return ()
    found = unusualness(train.features, new.features)
    further: NDArray[np.float64] = found.further_than()
    order = sorted(range(len(new)), key=lambda i: (-found.new[i], str(new.table["path"][i])))
    return tuple(
        Unusual(
            path=str(new.table["path"][index]),
            label=str(new.table["label"][index]),
            confidence=float(new.table["confidence"][index]),
            distance=float(found.new[index]),
            further_than=float(further[index]),
        )
        for index in order[:LISTED]
    )
