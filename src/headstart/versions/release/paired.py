"""A candidate against the champion on the same images: differences, intervals, verdicts. Arrays only."""

from collections.abc import Sequence

from headstart.ground.wording import points
from headstart.pipeline.evaluation.paired_difference import Flags, difference
from headstart.versions.release.class_checks import class_wanted, worst_class
from headstart.versions.release.decision import Check, Verdict, share
from headstart.versions.release.settings import Gate


def compare(
    labels: Sequence[str],
    candidate: Flags,
    champion: Flags,
    gate: Gate,
    groups: Sequence[str] | None = None,
) -> list[Check]:
    """Not worse overall, nor in any class, by more than a margin; see `difference` for groups.

    Overall: failed if the measured difference is below the margin; inconclusive if only the lower end of the
    interval is: these images do not show that the candidate is not worse. Single classes: `worst_class`.
    """
    wanted = f"the whole interval above {_worse(gate.margin)}"
    if len(labels) < gate.min_images:
        note = f"{len(labels)} images that the champion did not see, {gate.min_images} are needed"
        overall = Check("accuracy_difference", "inconclusive", None, wanted, note)
        return [overall, Check("worst_class", "inconclusive", None, class_wanted(gate), note)]
    measured, interval = difference(candidate, champion, gate.confidence, groups)
    within = "" if groups is None else f" in {len(set(groups))} groups"
    note = f"on {len(labels)} images{within} that the champion did not see"
    verdict: Verdict = "passed"
    if measured < -gate.margin:
        verdict = "failed"
    elif interval.low < -gate.margin:
        verdict, note = "inconclusive", f"{note}: too few to show that it is not worse"
    ends = f"{share(gate.confidence)} interval: {points(interval.low)} to {points(interval.high)}"
    found = f"{points(measured)} ({ends})"
    low, high = interval.low, interval.high
    overall = Check("accuracy_difference", verdict, measured, wanted, note, low, high, found)
    return [overall, worst_class(labels, candidate, champion, gate, groups)]


def _worse(margin: float) -> str:
    return f"{100 * margin:.4g} points worse"
