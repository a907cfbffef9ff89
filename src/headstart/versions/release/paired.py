"""A candidate against the champion on the same images: differences, intervals, verdicts. Arrays only."""

from collections.abc import Sequence

import numpy as np

from headstart.ground.wording import points
from headstart.pipeline.evaluation.paired_difference import Flags, difference
from headstart.versions.release.decision import Check, Verdict, passed_if, share
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
    interval is: these images do not show that the candidate is not worse.
    """
    wanted = f"the whole interval above {_worse(gate.margin)}"
    if len(labels) < gate.min_images:
        note = f"{len(labels)} images that the champion did not see, {gate.min_images} are needed"
        overall = Check("accuracy_difference", "inconclusive", None, wanted, note)
        return [overall, Check("worst_class", "inconclusive", None, _class_wanted(gate), note)]
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
    return [overall, _classes(labels, candidate, champion, gate)]


def _worse(margin: float) -> str:
    return f"{100 * margin:.4g} points worse"


def _class_wanted(gate: Gate) -> str:
    return f"no class more than {_worse(gate.class_margin)}"


def _classes(labels: Sequence[str], candidate: Flags, champion: Flags, gate: Gate) -> Check:
    names = np.asarray(labels, dtype=object)
    gaps, few = {}, []
    for name in sorted(set(labels)):
        own = names == name
        if own.sum() < gate.min_class_images:
            few.append(f"{name} ({own.sum()})")
            continue
        gaps[name] = float(candidate[own].mean() - champion[own].mean())
    aside = f"; too few images to judge {', '.join(few[:5])}" if few else ""
    aside += f" and {len(few) - 5} more classes" if len(few) > 5 else ""
    wanted = _class_wanted(gate)
    if not gaps:
        note = f"no class has {gate.min_class_images} images{aside}"
        return Check("worst_class", "inconclusive", None, wanted, note)
    worst = min(gaps, key=lambda name: gaps[name])
    below = [name for name in sorted(gaps, key=lambda name: gaps[name]) if gaps[name] < -gate.class_margin]
    found = ", ".join(f"{name}: {points(gaps[name])}" for name in below[:5] or [worst])
    found += f" and {len(below) - 5} more" if len(below) > 5 else ""
    note = aside.removeprefix("; ")
    return Check("worst_class", passed_if(not below), gaps[worst], wanted, note, found=found)
