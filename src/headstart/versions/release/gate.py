"""The gate: a registered version against thresholds, the champion, changed pictures and limits."""

import json
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mlflow.entities import Metric
from mlflow.tracking import MlflowClient

from headstart.errors import LineageError, TrackingError, UnreachableError
from headstart.pipeline.evaluation.intervals import wilson
from headstart.versions.provenance import origin
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
from headstart.versions.release.answers import Scores, score
from headstart.versions.release.decision import Check, Decision, passed_if
from headstart.versions.release.paired import Flags, Margins, compare
from headstart.versions.release.settings import Gate, Thresholds

__all__ = ["Check", "Decision", "GateSettings", "check"]

FOLDER = "gate"
FIGURES = "gate.json"
GATE_TAG, CHECKS_TAG = "gate", "gate.checks"
INTERVAL = 0.95  # of the accuracy that the first line tells


@dataclass(frozen=True)
class GateSettings:
    """Section `gate` of params.yaml, and `register.thresholds`.

    Attributes:
        thresholds: least values of `accuracy` and `balanced_accuracy` on all test images.
        behaviour: change to the least share of pictures that keep their label; None: not checked.
        behaviour_images: at most this many test images are changed.
        max_latency_ms: median of a batch of one, on the machine that runs the gate.
        max_size_mb: of the version's own files.
    """

    thresholds: Mapping[str, float]
    margins: Margins
    behaviour: Mapping[str, float | None]
    behaviour_images: int
    max_latency_ms: float
    max_size_mb: float

    @classmethod
    def of(cls, own: Gate, thresholds: Thresholds) -> "GateSettings":
        """From the sections of params.yaml."""
        return cls(
            thresholds=thresholds.model_dump(),
            margins=Margins(
                overall=own.margin,
                of_class=own.class_margin,
                confidence=own.confidence,
                min_images=own.min_images,
                min_class_images=own.min_class_images,
            ),
            behaviour={name: getattr(own, name) for name in behaviour.CHANGES},
            behaviour_images=own.behaviour_images,
            max_latency_ms=own.max_latency_ms,
            max_size_mb=own.max_size_mb,
        )


def judge(
    name: str, number: str, gate: Gate, thresholds: Thresholds, say: Callable[[str], object]
) -> Decision:
    """Judge a version, and keep the page of what made it beside the decision; see `check` for errors."""
    decision = check(name, number, GateSettings.of(gate, thresholds), say=say)
    origin.keep_page(f"models:/{name}/{number}")
    return decision


def check(
    name: str,
    number: str,
    settings: GateSettings,
    champion: str | None = None,
    say: Callable[[str], object] = lambda text: None,
) -> Decision:
    """Judge a version and record every figure on it: tags, description, gate.json and metrics of its run.

    No alias is changed. Judged again, the new decision takes the place of the old.

    Args:
        champion: the version to compare with; without it the one that has the alias `champion`, if another
            has it. Where there is none the version is judged by thresholds, behaviour and limits.
        say: told what is being done.

    Raises:
        TrackingError: MLflow is out of reach, or a version does not answer or has no record.
        LineageError: test images of the version cannot be had.
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
        own, kept = _score_candidate(record.name, images, settings, folder)
        checks = _thresholds(images, own, settings)
        if earlier.heads:
            checks.append(_earlier("earlier_heads", earlier, all_images - len(images.files)))
        rival = None
        if against is not None:
            other = open_record(f"models:/{name}/{against}", _new(folder / "champion"))
            say(f"the same images to the champion, version {against}")
            earlier = earlier_heads(other, folder / "champions")
            found, rival = _against(images, own, other, earlier.pixels, settings, say)
            checks += found
            if earlier.unknown:
                checks.append(_earlier("champions_earlier_heads", earlier, 0))
        checks += [*kept, *_limits(own, settings)]
        decision = Decision.of(tuple(checks), against, _summary(images, own, against, rival))
        with tracking.translated("record the decision"):
            _record(client, name, number, record, decision)
    return decision


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _score_candidate(
    uri: str, images: TestImages, settings: GateSettings, folder: Path
) -> tuple[Scores, list[Check]]:
    """Answers to the test images, and the checks of behaviour, from one process."""
    wanted = {name: least for name, least in settings.behaviour.items() if least is not None}
    step = max(1, len(images.files) // settings.behaviour_images)
    chosen = range(0, len(images.files), step)[: settings.behaviour_images] if wanted else range(0)
    changed: list[tuple[int, str, Path]] = []
    for index in chosen:
        own = folder / "changed" / str(index)
        own.mkdir(parents=True)
        written = behaviour.write_changed(images.files[index], list(wanted), own)
        changed += [(index, name, path) for name, path in written]
    scores = score(uri, [*images.files, *(path for _, _, path in changed)], is_timed=True)
    kept: dict[str, list[bool]] = {name: [] for name in wanted}
    for (index, name, _), label in zip(changed, scores.labels[len(images.files) :], strict=True):
        kept[name].append(label == scores.labels[index])
    checks = []
    for name, least in wanted.items():
        rate = sum(kept[name]) / len(kept[name])
        note = f"of {len(kept[name])} changed pictures keep their label"
        checks.append(Check(name, passed_if(rate >= least), rate, f"at least {least:g}", note))
    return scores, checks


def _right(scores: Scores, images: TestImages) -> Flags:
    return np.array([a == b for a, b in zip(scores.labels, images.labels, strict=False)], dtype=np.bool_)


def _recalls(right: Flags, labels: list[str]) -> dict[str, float]:
    names = np.asarray(labels, dtype=object)
    return {name: float(right[names == name].mean()) for name in sorted(set(labels))}


def _thresholds(images: TestImages, own: Scores, settings: GateSettings) -> list[Check]:
    right = _right(own, images)
    found = {
        "accuracy": float(right.mean()),
        "balanced_accuracy": float(np.mean(list(_recalls(right, images.labels).values()))),
    }
    return [
        Check(name, passed_if(found[name] >= least), found[name], f"at least {least:g}")
        for name, least in settings.thresholds.items()
    ]


def _earlier(name: str, earlier: Earlier, left_out: int) -> Check:
    """What the heads that a version was trained further from saw must be known, to leave it out."""
    wanted = "all in the registry"
    if earlier.unknown:
        note = f"head {earlier.unknown[:12]} is in no version: which images it saw is not known"
        return Check(name, "inconclusive", None, wanted, note)
    note = f"{left_out} test images that they saw are left out"
    return Check(name, "passed", float(earlier.heads), wanted, note)


def _against(
    images: TestImages,
    own: Scores,
    champion: Record,
    earlier: set[str],
    settings: GateSettings,
    say: Callable[[str], object],
) -> tuple[list[Check], float | None]:
    """Both on the images that the champion and its earlier heads never saw; its accuracy there."""
    seen = seen_by(champion) | earlier
    unseen = [index for index, pixels in enumerate(images.pixels) if pixels not in seen]
    right = _right(own, images)
    if len(unseen) < settings.margins.min_images:  # its answers would decide nothing
        nothing = np.zeros(len(unseen), np.bool_)
        labels = [images.labels[index] for index in unseen]
        return compare(labels, nothing, nothing, settings.margins), None
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
    labels = [images.labels[index] for index, _ in pairs]
    rival = np.array([label == images.labels[index] for index, label in pairs], dtype=np.bool_)
    checks = compare(labels, right[[index for index, _ in pairs]], rival, settings.margins)
    new = {
        name: recall for name, recall in _recalls(right, images.labels).items() if name not in theirs.classes
    }
    if new:
        checks.append(_new_classes(new, settings.thresholds["balanced_accuracy"]))
    return checks, float(rival.mean()) if len(rival) else None


def _new_classes(recalls: Mapping[str, float], least: float) -> Check:
    """Classes that the champion lacks: each must meet what is wanted of all on average."""
    worst = min(recalls, key=lambda name: recalls[name])
    low = [name for name in recalls if recalls[name] < least]
    note = ", ".join(f"{name} {recalls[name]:.3f}" for name in (low or [worst])[:5])
    wanted = f"each at least {least:g}"
    return Check("new_classes", passed_if(not low), recalls[worst], wanted, f"{note}, new classes")


def _limits(own: Scores, settings: GateSettings) -> list[Check]:
    assert own.milliseconds is not None
    return [
        Check(name, passed_if(found <= most), found, f"at most {most:g}")
        for name, found, most in (
            ("latency_ms", own.milliseconds, settings.max_latency_ms),
            ("size_mb", own.megabytes, settings.max_size_mb),
        )
    ]


def _summary(images: TestImages, own: Scores, against: str | None, rival: float | None) -> str:
    right = _right(own, images)
    bounds = wilson(int(right.sum()), len(right), INTERVAL)
    told = f"accuracy {right.mean():.3f} ({bounds.low:.2f}-{bounds.high:.2f}) on {len(right)} test images"
    if against is None:
        return f"{told}, no other version is champion"
    return f"{told}, champion {against}: {'not comparable' if rival is None else f'{rival:.3f}'}"


def _record(client: MlflowClient, name: str, number: str, record: Record, decision: Decision) -> None:
    now = int(time.time() * 1000)
    figures = {f"{FOLDER}/{one.name}": one.figure for one in decision.checks}
    figures |= {f"{FOLDER}/{one.name}_low": one.low for one in decision.checks}
    figures |= {f"{FOLDER}/{one.name}_high": one.high for one in decision.checks}
    metrics = [Metric(key, value, now, 0) for key, value in figures.items() if value is not None]
    client.log_batch(record.run_id, metrics=metrics)
    client.log_text(record.run_id, json.dumps(decision.as_dict(), indent=2), f"{FOLDER}/{FIGURES}")
    told = "; ".join(map(_short, decision.checks))
    client.set_model_version_tag(name, number, CHECKS_TAG, told)
    client.set_model_version_tag(name, number, "compared_with", decision.champion or "none")
    client.update_model_version(name, number, card.as_markdown(record, decision))
    client.set_model_version_tag(name, number, GATE_TAG, decision.verdict)


def _short(check: Check) -> str:
    figure = "" if check.figure is None else f" {check.figure:.3g}"
    return f"{check.name} {check.verdict}{figure}"
