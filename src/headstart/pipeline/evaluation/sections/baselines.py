"""Baselines: how far simple rules get on the same test images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from headstart.ground import paths
from headstart.ground.reading import load_table
from headstart.pipeline.evaluation.intervals import Interval, of_share
from headstart.pipeline.evaluation.paired_difference import difference
from headstart.pipeline.evaluation.report import Section
from headstart.pipeline.evaluation.results import Results
from headstart.pipeline.evaluation.wording import share
from headstart.pipeline.features.examples import LabelledRows, rows_of
from headstart.pipeline.features.vectors import Vectors
from headstart.pipeline.network.network import INPUT
from headstart.pipeline.pages.html import fragment
from headstart.pipeline.pixels.packed import PackedImages

FACTS = ("width", "height", "shape", "bytes", "bytes per pixel", "brightness", "contrast")
FACTS_TRAIN = 5_000  # training images that the facts are learnt from
TREES = 50
LEAF = 3  # training images in a leaf, at least
NEIGHBOURS = (1, 5, 15)
NEIGHBOURS_TRAIN = 20_000  # training images among which neighbours are looked for
NEIGHBOURS_VAL = 2_000  # validation images on which their number is chosen
AT_ONCE = 512  # images
STEP = 4  # pixels between those whose brightness is measured

Labels = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Baseline:
    """A rule and the share of test images for which it is right; `right` says for which, bool [N]."""

    name: str
    right: Flags
    accuracy: float
    interval: Interval


def section(results: Results) -> Section:
    """Compare the model with three rules that are fitted to the training images: see the functions below."""
    train = rows_of(results.images, "train", results.classes)
    always = _commonest(train, results)
    name = f"Always “{results.classes[always[0]]}”, the commonest class in training"
    commonest = _measured(name, always, results)
    facts = _measured("Size, file size, brightness and contrast alone", _by_facts(train, results), results)
    rules = [commonest, facts]
    model = results.predicted == results.labels
    own = Baseline("The model", model, results.metrics.accuracy, results.metrics.intervals["accuracy"])
    notes = [_facts_note(facts, commonest, own, results)]
    if results.head["cut"] == INPUT:
        notes.append("There is no baseline by neighbours: nothing is frozen, so no features are stored.")
    else:
        predicted, count = _by_neighbours(train, results)
        name = f"The nearest {count} training images" if count > 1 else "The nearest training image"
        rules.append(_measured(f"{name}, by features", predicted, results))
    notes += [_note(rule, _gap(own, rule, results)) for rule in rules]
    html = fragment(
        "headstart.pipeline.evaluation.sections",
        "baselines.html.j2",
        {"percent": share},
        rows=[own, *rules],
        confidence=results.options.confidence,
        notes=[note for note in notes if note],
    )
    return Section("Baselines", html)


def _measured(name: str, predicted: Labels, results: Results) -> Baseline:
    right = predicted == results.labels
    interval = of_share(right, results.groups, results.options.confidence)
    return Baseline(name, right, float(right.mean()), interval)


def _commonest(train: LabelledRows, results: Results) -> Labels:
    counts = np.bincount(train.labels.numpy(), minlength=len(results.classes))
    return np.full(len(results.labels), counts.argmax(), np.int64)


def _by_facts(train: LabelledRows, results: Results) -> Labels:
    """Predictions from facts of each file that do not depend on what it shows: int64 [N].

    Source: P. Geurts, D. Ernst, L. Wehenkel, Extremely randomized trees, Machine Learning 63, 2006. Trees
    are grown and asked one by one, because those of many classes are large.
    """
    from sklearn.tree import ExtraTreeClassifier

    known = train.indices[:FACTS_TRAIN]
    learnt, labels = _facts(results.images, known), train.labels_of(known).numpy()
    asked = _facts(results.images, _test_rows(results))
    votes = np.zeros((len(asked), len(results.classes)))
    for number in range(TREES):
        tree = ExtraTreeClassifier(
            min_samples_leaf=LEAF, random_state=(results.options.seed + number) % 2**32
        )
        tree.fit(learnt, labels)
        votes[:, tree.classes_] += tree.predict_proba(asked)
    return np.asarray(votes.argmax(1))


def _facts(images: pd.DataFrame, rows: range) -> NDArray[np.float64]:
    """FACTS of some images: float64 [N, 7]; brightness and contrast in levels of 0 to 255."""
    files = load_table(paths.MANIFEST, ["path", "width", "height", "bytes"]).set_index("path")
    own = files.loc[images["path"].iloc[rows.start : rows.stop]].astype(float)
    pixels = own["width"] * own["height"]
    own["shape"] = own["width"] / own["height"]
    own["bytes per pixel"] = own["bytes"] / pixels
    packed = PackedImages(images)
    looks = []
    for start in range(rows.start, rows.stop, AT_ONCE):
        part = packed.rows(start, min(start + AT_ONCE, rows.stop))[:, ::STEP, ::STEP].astype(np.float32)
        grey = part.mean(3)
        looks.append(np.stack([grey.mean((1, 2)), grey.std((1, 2))], axis=1))
    own[["brightness", "contrast"]] = np.concatenate(looks).astype(np.float64)
    facts: NDArray[np.float64] = own[list(FACTS)].to_numpy(np.float64)
    return facts


def _by_neighbours(train: LabelledRows, results: Results) -> tuple[Labels, int]:
    """Predictions by the majority of the nearest training images, and how many of them have a vote.

    Their number is the one of NEIGHBOURS with the best accuracy on validation images, the smallest if several
    are.

    Source: T. Cover, P. Hart, Nearest neighbor pattern classification, 1967.
    """
    space = results.space
    known = train.indices[:NEIGHBOURS_TRAIN]
    vectors = np.concatenate(list(space.vectors(known)))
    labels = train.labels_of(known).numpy()
    val = rows_of(results.images, "val", results.classes)
    numbers = [count for count in NEIGHBOURS if count <= len(known)]

    def answers(rows: range, counts: Sequence[int]) -> list[Labels]:
        parts = [_votes(part, vectors, labels, counts) for part in space.vectors(rows)]
        return [np.concatenate(own) for own in zip(*parts, strict=True)]

    chosen = val.indices[:NEIGHBOURS_VAL]
    truth = val.labels_of(chosen).numpy()
    scores = [float((found == truth).mean()) for found in answers(chosen, numbers)]
    count = numbers[int(np.argmax(scores))]
    return answers(_test_rows(results), [count])[0], count


def _votes(queries: Vectors, known: Vectors, labels: Labels, counts: Sequence[int]) -> list[Labels]:
    """The commonest class among the nearest of `known`, for each number of them: int64 [Q] each.

    Of classes with as many votes, the one whose images are more similar in all.
    """
    similar = queries @ known.T
    most = min(max(counts), similar.shape[1])
    near = np.argpartition(-similar, most - 1, axis=1)[:, :most]
    near = np.sort(near, axis=1)  # equally similar ones in their own order
    close = np.take_along_axis(similar, near, 1)
    order = np.argsort(-close, axis=1, kind="stable")
    near, close = np.take_along_axis(near, order, 1), np.take_along_axis(close, order, 1)
    places = np.arange(len(queries))[:, None]
    found = []
    for count in counts:
        votes = np.zeros((len(queries), int(labels.max()) + 1))
        # similarities are at most 1, so that all together weigh less than a vote
        np.add.at(votes, (places, labels[near[:, :count]]), 1 + close[:, :count] / (2 * count + 1))
        found.append(np.asarray(votes.argmax(1), np.int64))
    return found


def _test_rows(results: Results) -> range:
    return range(int(results.table["row"].iloc[0]), int(results.table["row"].iloc[-1]) + 1)


def _gap(one: Baseline, other: Baseline, results: Results) -> Interval:
    """The paired interval of the accuracy of one less that of the other, on the same test images."""
    return difference(one.right, other.right, results.options.confidence, results.groups)[1]


def _facts_note(facts: Baseline, commonest: Baseline, model: Baseline, results: Results) -> str:
    if _gap(facts, commonest, results).low <= 0:
        return ""
    gap = _gap(model, facts, results)
    compared = "fewer than" if gap.low > 0 else "more than" if gap.high < 0 else "about as many as"
    return (
        "Size, file size, brightness and contrast, which do not depend on what a picture shows, give "
        f"{share(facts.accuracy)} right answers: {compared} the model, but more than always the commonest "
        "class. The classes may differ by how their pictures were made, and the model may have learnt that "
        "difference. Pictures of all classes from one source would show it."
    )


def _note(rule: Baseline, gap: Interval) -> str:
    """The sentence on a rule that the model does not beat; empty if it does.

    Args:
        gap: interval of the model's accuracy less the rule's, on the same images.
    """
    if gap.low > 0:
        return ""
    said = f"“{rule.name}” is right for {share(rule.accuracy)}"
    if gap.high < 0:
        return f"{said}, more often than the model."
    return f"{said}: these test images do not show that the model is better."
