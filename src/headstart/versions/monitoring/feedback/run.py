"""`headstart feedback`: store labels, and report the accuracy of what was answered."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from headstart.errors import DataError, HeadstartError, UnreachableError
from headstart.ground.wording import named
from headstart.sources.adding import Added, add_labelled
from headstart.versions.monitoring.feedback import label_folder
from headstart.versions.monitoring.feedback.answers import Answers, kept_answers, scored_answers
from headstart.versions.monitoring.feedback.label_folder import Picked
from headstart.versions.monitoring.feedback.label_table import LabelTable, Matched, match, read_labels
from headstart.versions.monitoring.feedback.report import Feedback, report
from headstart.versions.monitoring.feedback.tested import OwnTest, tested
from headstart.versions.monitoring.settings import Monitor
from headstart.versions.registry.uri import ModelUri
from headstart.versions.serving.kept.store import KeptStore

Say = Callable[[str], object]
SHOWN = 5  # unknown ids that a sentence names


@dataclass(frozen=True)
class Took:
    """Result of reading a table of labels.

    Attributes:
        labels: how many answers have a label by it.
        changed: of them, those that had another one before.
        unlabelled: rows without a label.
        repeated: rows that say what an earlier one said.
        unknown: ids or paths of no known answer.
    """

    labels: int
    changed: int
    unlabelled: int
    repeated: int
    unknown: tuple[str, ...]

    def sentence(self) -> str:
        """One line for a person."""
        parts = [f"{self.labels} labels"]
        parts += [f"{self.changed} of them replace another one"] if self.changed else []
        parts += [f"{self.repeated} rows repeat an earlier one"] if self.repeated else []
        parts += [f"{self.unlabelled} rows have no label yet"] if self.unlabelled else []
        if self.unknown:
            parts.append(
                f"no answer is known for {len(self.unknown)} ({named(map(repr, self.unknown), SHOWN)})"
            )
        return "; ".join(parts)


@dataclass(frozen=True)
class Labels:
    """A table of labels, and whether classes are taken that the versions lack."""

    path: Path
    new_classes: bool


def from_store(
    folder: Path, labels: Labels | None, settings: Monitor, say: Say
) -> tuple[Answers, Took | None, Feedback]:
    """Store the labels of a table, if one is given, and report the accuracy of kept answers.

    Raises:
        DataError: a row of the table is wrong; nothing was stored.
        HeadstartError: nothing is kept in the folder.
        TrackingError: MLflow is out of reach.
    """
    with KeptStore(folder) as store:
        answers = kept_answers(store, folder)
        took = None
        if labels is not None:
            table, matched = _matched(labels, answers)
            took = _took(table, matched, answers)
            answers = answers.labelled(matched)
            store.add_labels(_rows(answers.table, matched))
    return answers, took, reported(answers, settings, say)


def from_scores(
    path: Path, labels: Labels | None, settings: Monitor, say: Say
) -> tuple[Answers, Took | None, Feedback]:
    """Report the accuracy of a file of `headstart score`, whose rows labels name by their path.

    Raises:
        DataError: the file or a row of the table is wrong.
        TrackingError: MLflow is out of reach.
    """
    answers = scored_answers(path)
    took = None
    if labels is not None:
        table, matched = _matched(labels, answers)
        took = _took(table, matched, answers)
        answers = answers.labelled(matched)
    return answers, took, reported(answers, settings, say)


def reported(answers: Answers, settings: Monitor, say: Say) -> Feedback:
    """The report on answers, for which the test of each version is fetched."""
    versions = sorted(set(answers.table["version"]))
    tests = {version: _test(version, say) for version in versions}
    return report(answers, tests, settings, datetime.now(UTC))


def pick(
    folder: Path, kept: Path, model: str, count: int, at_random: int, settings: Monitor, say: Say
) -> Picked:
    """Copy kept images into a folder for labelling, and remember which.

    Args:
        count: doubtful images, as `model` sees them.
        at_random: images drawn at random first, whose labels show the accuracy of all.

    Raises:
        DataError: the folder is not empty, or no image is left.
        HeadstartError: nothing is kept, or the model cannot be opened.
    """
    label_folder.check_new(folder)
    with KeptStore(kept) as store:
        before = store.picks()
        rows = label_folder.candidates_of(kept_answers(store, kept).table, before)
        drawn = label_folder.random_ids(rows, at_random, f"{settings.seed} {len(before)}")
        why = dict.fromkeys(drawn, "random")
        if count:
            rest = rows[~rows["id"].isin(why)]
            why |= label_folder.doubtful_ids(rest, model, count, settings, say)
        if not why:
            raise DataError(
                "every kept image is in the data of the model, or cannot be read: there is none to label"
            )
        picked = label_folder.write_folder(folder, rows, why)
        store.add_picks(picked.why)
    return picked


def into_source(answers: Answers, labels: Path, source: str, layout: str | None, table: str | None) -> Added:
    """Add the images that a table labels, and that are on this machine, to a source of data."""
    _, matched = _matched(Labels(labels, new_classes=True), answers)
    images = dict(zip(answers.table["id"], answers.table["image"], strict=True))
    given = [(images[id_], row.label) for id_, row in matched.labels.items()]
    files = [(path, label) for path, label in given if path is not None and path.is_file()]
    added = add_labelled(source, files, layout, table)
    return replace(added, lost=len(given) - len(files))


def _matched(labels: Labels, answers: Answers) -> tuple[LabelTable, Matched]:
    table = read_labels(labels.path)
    return table, match(table, answers.ids_for(table.by), answers.classes_by_id(), labels.new_classes)


def _took(table: LabelTable, matched: Matched, answers: Answers) -> Took:
    before = dict(zip(answers.table["id"], answers.table["label"], strict=True))
    changed = sum(before[id_] not in (None, row.label) for id_, row in matched.labels.items())
    return Took(len(matched.labels), changed, table.unlabelled, table.repeated, matched.unknown)


def _rows(table: pd.DataFrame, matched: Matched) -> Iterable[tuple[str, str, datetime]]:
    """Id, label and time of each label; without a time of its own, it has that of the answer."""
    times = dict(zip(table["id"], table["time"], strict=True))
    return [(id_, row.label, times[id_].to_pydatetime()) for id_, row in matched.labels.items()]


def _test(version: str, say: Say) -> OwnTest | str:
    """The test of a version, or the reason why there is none."""
    if not ModelUri.is_meant(version):
        return "it is not a registered version"
    say(f"{version}: fetching the figures of its test")
    try:
        return tested(version)
    except UnreachableError:
        raise
    except HeadstartError as error:
        return str(error).partition("\n")[0]


def as_dict(took: Took | None, added: Added | None, found: Feedback) -> dict[str, Any]:
    """All of it for programs."""
    return {
        **found.to_dict(),
        "labels": None if took is None else vars(took),
        "added": None if added is None else vars(added),
    }
