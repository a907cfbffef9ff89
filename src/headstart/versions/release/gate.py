"""The gate: judges a version by thresholds, the champion, changed pictures and limits."""

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from mlflow.entities import Metric
from mlflow.tracking import MlflowClient

from headstart.errors import LineageError, TrackingError, UnreachableError
from headstart.pipeline.data.limits import Limits
from headstart.pipeline.evaluation.intervals import of_share, wilson
from headstart.pipeline.evaluation.paired_difference import Flags
from headstart.versions.provenance import comparison, origin
from headstart.versions.registry import tracking, versions
from headstart.versions.registry.record import Record, open_record
from headstart.versions.registry.recorded_images import (
    Earlier,
    TestImages,
    earlier_heads,
    seen_by,
    test_images,
)
from headstart.versions.release import behaviour, card
from headstart.versions.release.announcement import announced
from headstart.versions.release.answers import Scores, score
from headstart.versions.release.decision import Check, Decision, passed_if, share
from headstart.versions.release.new_classes import new_classes
from headstart.versions.release.paired import compare
from headstart.versions.release.run_name import run_name
from headstart.versions.release.settings import Gate, Requirements, Thresholds

__all__ = ["Check", "Decision", "check", "judge"]

FOLDER = "gate"
FIGURES = "gate.json"
CHECKS_TAG = "gate.checks"
INTERVAL = 0.95  # of the accuracy in the summary


def judge(name: str, number: str, wanted: Requirements, say: Callable[[str], object]) -> Decision:
    """Judge a version, and store its lineage page next to the decision; see `check` for errors."""
    with announced(name, number):
        decision = check(name, number, wanted, say=say)
    origin.keep_page(f"models:/{name}/{number}")
    return decision


def check(
    name: str,
    number: str,
    wanted: Requirements,
    champion: str | None = None,
    say: Callable[[str], object] = lambda text: None,
) -> Decision:
    """Judge a version and record every figure on it: tags, description, gate.json and metrics of its run,
    whose name then starts with the verdict.

    What differs from the champion is stored beside it as a page. Aliases stay as they are. A second decision
    replaces the first.

    Args:
        champion: the version to compare with; by default the one with the alias `champion`. Without another
            version to compare with, thresholds, behaviour and limits decide.
        say: called with each step as it starts.

    Raises:
        TrackingError: MLflow is out of reach, or a version does not answer or has no record.
        LineageError: test images of the version cannot be fetched.
    """
    client = tracking.connect()
    with tracking.translated(f"judge {name} version {number}"):
        number = str(client.get_model_version(name, number).version)
        against = champion or versions.champion(client, name)
        against = None if against == number else against
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        record = open_record(f"models:/{name}/{number}", _new(folder / "candidate"))
        record.check()
        earlier = earlier_heads(record, folder / "earlier")
        images = test_images(record, folder / "images")
        all_images, images = len(images.files), images.without(earlier.pixels)
        if not images.files:
            raise LineageError(
                f"{record.name}: each of its {all_images} test images was seen by a head that it was trained "
                "further from; there is nothing to judge it on"
            )
        say(f"{len(images.files)} test images of {record.name}")
        own, kept = _score_candidate(record, images, wanted.gate, folder)
        checks = _thresholds(images, own, wanted.thresholds) + _refusals(images, own, wanted.gate)
        if earlier.heads:
            checks.append(_earlier("earlier_heads", earlier, all_images - len(images.files)))
        rival = None
        if against is not None:
            other = open_record(f"models:/{name}/{against}", _new(folder / "champion"))
            say(f"the same images to the champion, version {against}")
            earlier = earlier_heads(other, folder / "champions")
            found, rival = _against(images, own, other, earlier.pixels, wanted, say)
            checks += found
            if earlier.unknown:
                checks.append(_earlier("champions_earlier_heads", earlier, 0))
            comparison.keep_page(other, record)
        checks += [*kept, *_limits(own, wanted.gate)]
        decision = Decision.of(tuple(checks), against, _summary(images, own, against, rival))
        with tracking.translated("record the decision"):
            _record(client, name, number, record, decision)
    return decision


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _score_candidate(
    record: Record, images: TestImages, gate: Gate, folder: Path
) -> tuple[Scores, list[Check]]:
    """Answers to the test images, and the checks of behaviour, from one process."""
    wanted: dict[str, float] = {
        name: least for name in behaviour.CHANGES if (least := getattr(gate, name)) is not None
    }
    step = max(1, len(images.files) // gate.behaviour_images)
    chosen = range(0, len(images.files), step)[: gate.behaviour_images] if wanted else range(0)
    limits = Limits.in_params(record.params["validate"])
    changed: list[tuple[int, str, Path]] = []
    for index in chosen:
        own = folder / "changed" / str(index)
        own.mkdir(parents=True)
        written = behaviour.write_changed(images.files[index], list(wanted), own, limits)
        changed += [(index, name, path) for name, path in written]
    scores = score(record.name, [*images.files, *(path for _, _, path in changed)], is_timed=True)
    kept: dict[str, list[bool]] = {name: [] for name in wanted}
    for (index, name, _), label in zip(changed, scores.labels[len(images.files) :], strict=True):
        kept[name].append(label == scores.labels[index])
    checks = []
    for name, least in wanted.items():
        same, pictures = sum(kept[name]), len(kept[name])
        if not pictures:
            note = "validate.formats and validate.modes refuse every changed picture"
            checks.append(Check(name, "inconclusive", None, f"at least {share(least)}", note))
            continue
        rate = same / pictures
        found = f"{same} of {pictures} changed pictures keep their label ({share(rate)})"
        checks.append(Check(name, passed_if(rate >= least), rate, f"at least {share(least)}", found=found))
    return scores, checks


def _right(scores: Scores, images: TestImages) -> Flags:
    return np.array([a == b for a, b in zip(scores.labels, images.labels, strict=False)], dtype=np.bool_)


def _recalls(right: Flags, labels: list[str]) -> dict[str, float]:
    names = np.asarray(labels, dtype=object)
    return {name: float(right[names == name].mean()) for name in sorted(set(labels))}


def _thresholds(images: TestImages, own: Scores, wanted: Thresholds) -> list[Check]:
    right = _right(own, images)
    accuracy = float(right.mean())
    balanced = float(np.mean(list(_recalls(right, images.labels).values())))
    found = {
        "accuracy": (accuracy, f"{right.sum()} of {len(right)} images are right ({share(accuracy)})"),
        "balanced_accuracy": (balanced, f"{share(balanced)}, the mean recall of the classes"),
    }
    return [
        Check(name, passed_if(figure >= least), figure, f"at least {share(least)}", found=words)
        for name, least in wanted.model_dump().items()
        for figure, words in [found[name]]
    ]


def _refusals(images: TestImages, own: Scores, gate: Gate) -> list[Check]:
    """The share of images that the version refuses, and its accuracy on the others, beside the full one.

    All other figures count its most probable class, so that refusing hides no mistake. A share whose
    interval is above that of the validation images is named.
    """
    if own.expected is None:
        return []
    refused = np.array(own.refused[: len(images.files)], np.bool_)
    rate = float(refused.mean())
    right = _right(own, images)[~refused]
    rest = f"accuracy on the others {share(float(right.mean()))}" if len(right) else "none is answered"
    found = f"{int(refused.sum())} of {len(refused)} images refused ({share(rate)}); {rest}"
    bounds = wilson(float(refused.sum()), len(refused), gate.confidence)
    note = (
        f"more than the {share(own.expected)} of the validation images" if bounds.low > own.expected else ""
    )
    wanted = f"{share(own.expected)} of the validation images were"
    return [Check("refused", "passed", rate, wanted, note, bounds.low, bounds.high, found=found)]


def _earlier(name: str, earlier: Earlier, left_out: int) -> Check:
    """Images that the heads before it in training saw must be known, so that they can be left out."""
    wanted = "all in the registry"
    if earlier.unknown:
        note = f"no version has head {earlier.unknown[:12]}, so the images that it saw are unknown"
        return Check(name, "inconclusive", None, wanted, note)
    note = f"{left_out} test images that they saw are left out"
    return Check(name, "passed", float(earlier.heads), wanted, note, found=f"{earlier.heads} known")


def _against(
    images: TestImages,
    own: Scores,
    champion: Record,
    earlier: set[str],
    wanted: Requirements,
    say: Callable[[str], object],
) -> tuple[list[Check], float | None]:
    """Both versions on the images that the champion and its earlier heads never saw.

    Returns:
        The checks, and the champion's accuracy there; None if it was not measured.
    """
    seen = seen_by(champion) | earlier
    unseen = [index for index, pixels in enumerate(images.pixels) if pixels not in seen]
    right = _right(own, images)
    if len(unseen) < wanted.gate.min_images:  # its answers would decide nothing
        nothing = np.zeros(len(unseen), np.bool_)
        labels = [images.labels[index] for index in unseen]
        return compare(labels, nothing, nothing, wanted.gate), None
    try:
        theirs = score(champion.name, [images.files[index] for index in unseen])
    except UnreachableError:
        raise
    except TrackingError as error:
        say(str(error))
        note = str(error).partition("\n")[0]  # what the process wrote would not fit into one line
        return [Check("accuracy_difference", "inconclusive", None, "the champion answers", note)], None
    pairs = [
        (index, label)
        for index, label in zip(unseen, theirs.labels, strict=True)
        if images.labels[index] in theirs.classes
    ]
    shared = [index for index, _ in pairs]
    labels = [images.labels[index] for index in shared]
    rival = np.array([label == images.labels[index] for index, label in pairs], dtype=np.bool_)
    groups = [images.groups[index] for index in shared] if images.are_grouped else None
    checks = compare(labels, right[shared], rival, wanted.gate, groups)
    checks += _new_classes(images, right, {*theirs.classes}, wanted)
    return checks, float(rival.mean()) if len(rival) else None


def _new_classes(images: TestImages, right: Flags, known: set[str], wanted: Requirements) -> list[Check]:
    labels, groups = np.asarray(images.labels, dtype=object), np.asarray(images.groups, dtype=object)
    owns = {name: labels == name for name in sorted({*images.labels} - known)}
    if not owns:
        return []
    rights = {name: right[own] for name, own in owns.items()}
    alike = {name: groups[own].tolist() for name, own in owns.items()} if images.are_grouped else None
    return [new_classes(rights, wanted.thresholds.balanced_accuracy, wanted.gate.confidence, alike)]


def _limits(own: Scores, gate: Gate) -> list[Check]:
    assert own.milliseconds is not None
    return [
        Check(
            name, passed_if(figure <= most), figure, f"at most {most:g} {unit}", found=_amount(figure, unit)
        )
        for name, figure, most, unit in (
            ("latency_ms", own.milliseconds, gate.max_latency_ms, "ms"),
            ("size_mb", own.megabytes, gate.max_size_mb, "MB"),
        )
    ]


def _amount(figure: float, unit: str) -> str:
    return f"{figure:.0f} {unit}" if figure >= 100 else f"{figure:.3g} {unit}"


def _summary(images: TestImages, own: Scores, against: str | None, rival: float | None) -> str:
    right = _right(own, images)
    within = f" in {len(set(images.groups))} groups" if images.are_grouped else ""
    bounds = of_share(right, images.groups if images.are_grouped else None, INTERVAL)
    own_accuracy = (
        f"accuracy {right.mean():.3f} ({bounds.low:.2f}-{bounds.high:.2f} at {share(INTERVAL)}) "
        f"on {len(right)} test images{within}"
    )
    if against is None:
        return f"{own_accuracy}, no other version is champion"
    return f"{own_accuracy}, champion {against}: {'not comparable' if rival is None else f'{rival:.3f}'}"


def _record(client: MlflowClient, name: str, number: str, record: Record, decision: Decision) -> None:
    now = int(time.time() * 1000)
    figures = {f"{FOLDER}/{one.name}": one.figure for one in decision.checks}
    figures |= {f"{FOLDER}/{one.name}_low": one.low for one in decision.checks}
    figures |= {f"{FOLDER}/{one.name}_high": one.high for one in decision.checks}
    metrics = [Metric(key, value, now, 0) for key, value in figures.items() if value is not None]
    client.log_batch(record.run_id, metrics=metrics)
    client.log_text(record.run_id, json.dumps(decision.as_dict(), indent=2), f"{FOLDER}/{FIGURES}")
    client.set_model_version_tag(name, number, CHECKS_TAG, "; ".join(map(_short, decision.checks)))
    client.set_model_version_tag(name, number, "compared_with", decision.champion or "none")
    client.update_model_version(name, number, card.as_markdown(record, decision))
    own = str(client.get_run(record.run_id).info.run_name)
    client.set_tag(record.run_id, "mlflow.runName", run_name(number, decision.verdict, own))
    client.set_model_version_tag(name, number, versions.GATE_TAG, decision.verdict)


def _short(check: Check) -> str:
    figure = "" if check.figure is None else f" {check.figure:.3g}"
    return f"{check.name} {check.verdict}{figure}"
