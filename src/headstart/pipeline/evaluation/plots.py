"""The report's plots, each a function from numbers to PNG bytes on a white background."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from headstart.pipeline.evaluation.canvas import BLACK, BLUE, GREY, PALETTE, VERMILION, names_shown, png_of
from headstart.pipeline.evaluation.intervals import wilson
from headstart.pipeline.evaluation.metrics import RocCurve

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ANNOTATED = 15  # classes up to which cells and bars carry numbers
COLOURED = len(PALETTE)  # curves up to which each has its own colour
DASHES = ("-", "--", "-.", ":")
BINS = 10
NAMED_BARS = 40  # classes up to which each has a bar with its name
BAR_NAME = 40  # characters of the name beside a bar, at most
NAMED_CELLS = 100  # classes up to which the rows of the confusion matrix have names
WIDTH = 7.0  # inches


def confusion_png(matrix: NDArray[np.int64], classes: Sequence[str]) -> bytes:
    """Counts int64 [C, C], rows true and columns predicted, coloured by their share of the row."""
    count = len(classes)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)

    def draw(figure: "Figure") -> None:
        axes = figure.add_subplot()
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.grid(False)
        if count <= NAMED_CELLS:
            names, size = names_shown(classes), float(np.clip(300 / count, 4, 9))
            axes.set_xticks(range(count), names, rotation=90 if count > 4 else 0, fontsize=size)
            axes.set_yticks(range(count), names, fontsize=size)
        axes.set(xlabel="predicted", ylabel="true")
        if count <= ANNOTATED:
            _write_cells(axes, matrix, shares)
        figure.colorbar(image, ax=axes, shrink=0.7, label="share of the true class")

    side = float(np.clip(3.6 + 0.3 * count, 4.2, 10))
    return png_of(draw, side + 1, side)


def roc_png(curves: Mapping[str, RocCurve]) -> bytes:
    """One curve per class, with its area; curves that are all NaN are left out."""
    drawn = [
        (name, curve)
        for name, curve in zip(names_shown(list(curves)), curves.values(), strict=True)
        if not np.isnan(curve.false_positive_rate + curve.true_positive_rate).any()
    ]

    def draw(figure: "Figure") -> None:
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=":")
        (_colour_curves if len(drawn) <= COLOURED else _shade_curves)(axes, drawn)
        axes.set(xlabel="false positive rate", ylabel="true positive rate", aspect="equal")
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))

    return png_of(draw, 5.2, 5.0)


def history_of(history: "pd.DataFrame", best: int) -> bytes:
    """Losses and accuracy by epoch, from the table `reports/history.csv`; see `history_png`."""
    names = ("train_loss", "val_loss", "train_accuracy", "val_accuracy")
    return history_png(
        epochs=history["epoch"].tolist(), best=best, **{name: history[name].tolist() for name in names}
    )


def history_png(
    *,
    epochs: Sequence[int],
    train_loss: Sequence[float],
    val_loss: Sequence[float],
    train_accuracy: Sequence[float],
    val_accuracy: Sequence[float],
    best: int,
) -> bytes:
    """Losses and accuracy by epoch; `best` is the epoch whose weights were kept."""

    def draw(figure: "Figure") -> None:
        losses, accuracy = figure.subplots(1, 2)
        losses.plot(epochs, train_loss, color=BLUE, marker=".", label="train")
        losses.plot(epochs, val_loss, color=VERMILION, marker=".", linestyle="--", label="val")
        losses.set(ylabel="loss in nats per image")
        accuracy.plot(epochs, train_accuracy, color=BLUE, marker=".")
        accuracy.plot(epochs, val_accuracy, color=VERMILION, marker=".", linestyle="--")
        accuracy.set(ylabel="accuracy")
        for axes in (losses, accuracy):
            line = axes.axvline(best, color=BLACK, linewidth=0.8, linestyle=":")
            axes.set(xlabel="epoch")
            axes.xaxis.get_major_locator().set_params(integer=True)
        line.set_label(f"kept: epoch {best}")
        handles = [*losses.get_lines()[:2], line]
        figure.legend(handles=handles, loc="outside upper center", ncols=3)

    return png_of(draw, WIDTH, 3.2)


def calibration_png(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> bytes:
    """Plot the share predicted correctly against the predicted probability, in ten equal bins.

    The bars are Wilson's intervals of 95 %: a bin of few images says little. The title shows the expected
    calibration error: C. Guo et al., On calibration of modern neural networks, 2017.

    Args:
        labels: int64 [N].
        probabilities: float64 [N, C].
    """
    count, said, done = _bins(labels, probabilities)
    error = calibration_error(labels, probabilities)

    def draw(figure: "Figure") -> None:
        reliability, histogram = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        reliability.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=":")
        used = count > 0
        ends = [
            wilson(share * images, images, 0.95)
            for share, images in zip(done[used], count[used], strict=True)
        ]
        bars = np.abs([[each.low for each in ends], [each.high for each in ends]] - done[used])
        reliability.errorbar(said[used], done[used], bars, color=BLUE, fmt="o", linewidth=1, capsize=2)
        reliability.set(ylabel="share predicted correctly", xlim=(0, 1), ylim=(-0.02, 1.02))
        reliability.set_title(f"expected calibration error {error:.3f}")
        middles = (np.arange(BINS) + 0.5) / BINS
        columns = histogram.bar(middles, count, width=0.9 / BINS, color=BLUE)
        histogram.bar_label(columns, [str(n) if n else "" for n in count], fontsize=7, padding=1)
        histogram.set(xlabel="probability of the predicted class", ylabel="images")
        histogram.margins(y=0.25)

    return png_of(draw, 5.2, 5.0)


def calibration_error(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> float:
    """The mean distance between confidence and accuracy, over ten equal bins weighted by their images.

    Source: C. Guo et al., On calibration of modern neural networks, 2017.
    """
    count, said, done = _bins(labels, probabilities)
    return float((np.abs(said - done) * count).sum() / len(labels))


def _bins(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Images, mean confidence and accuracy of each bin: [10] each, 0 where a bin is empty."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    count = np.bincount(bins, minlength=BINS)
    said, done = (
        np.bincount(bins, weights=values, minlength=BINS) / np.maximum(count, 1)
        for values in (confidence, right.astype(np.float64))
    )
    return count, said, done


def class_counts_png(counts: Mapping[str, Mapping[str, int]]) -> bytes:
    """Images per class and split: a bar per class, or the sizes in falling order if there are many classes.

    Args:
        counts: maps split to class to number of images.
    """
    classes = list(dict.fromkeys(name for split in counts.values() for name in split))
    numbers = np.array([[split.get(name, 0) for name in classes] for split in counts.values()])
    if len(classes) > NAMED_BARS:
        return _size_curve_png(numbers, list(counts))
    rows = np.arange(len(classes))

    def draw(figure: "Figure") -> None:
        axes = figure.add_subplot()
        ends = np.zeros(len(classes), np.int64)
        for colour, split, widths in zip(cycle(PALETTE), counts, numbers, strict=False):
            bars = axes.barh(rows, widths, left=ends, color=colour, label=split, height=0.75)
            ends += widths
        axes.bar_label(bars, [str(end) for end in ends], padding=3)
        axes.set_yticks(rows, names_shown(classes, BAR_NAME))
        axes.set(ylim=(len(classes) - 0.4, -0.6), xlabel="images")
        axes.grid(False, axis="y")
        axes.margins(x=0.1)
        figure.legend(loc="outside upper center", ncols=len(counts))

    return png_of(draw, WIDTH, 1.3 + 0.32 * len(classes))


def _size_curve_png(numbers: NDArray[np.int64], splits: Sequence[str]) -> bytes:
    """Plot the size of each class as a stack of its splits, the largest class first: int64 [S, C]."""
    ordered = numbers[:, np.argsort(-numbers.sum(0), kind="stable")]
    edges = np.arange(ordered.shape[1] + 1) + 0.5

    def draw(figure: "Figure") -> None:
        axes = figure.add_subplot()
        base = np.zeros(ordered.shape[1], np.int64)
        for colour, split, heights in zip(cycle(PALETTE), splits, ordered, strict=False):
            axes.stairs(base + heights, edges, baseline=base, fill=True, color=colour, label=split)
            base = base + heights
        axes.set(xlabel="classes, by size", ylabel="images", xlim=(edges[0], edges[-1]))
        axes.set_ylim(bottom=0)
        figure.legend(loc="outside upper center", ncols=len(splits))

    return png_of(draw, WIDTH, 3.2)


def _write_cells(axes: "Axes", matrix: NDArray[np.int64], shares: NDArray[np.float64]) -> None:
    for (row, column), number in np.ndenumerate(matrix):
        colour = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, str(number), ha="center", va="center", color=colour, fontsize=8)


def _colour_curves(axes: "Axes", curves: Sequence[tuple[str, RocCurve]]) -> None:
    lines = [
        axes.plot(curve[0], curve[1], color=colour, linestyle=DASHES[index % len(DASHES)])[0]
        for index, (colour, (_, curve)) in enumerate(zip(PALETTE, curves, strict=False))
    ]
    if lines:
        labels = [f"{name} ({_area(curve):.3f})" for name, curve in curves]
        axes.legend(lines, labels, title="class (area)", loc="lower right", fontsize=8)


def _shade_curves(axes: "Axes", curves: Sequence[tuple[str, RocCurve]]) -> None:
    """Draw curves that are too many to tell apart in one faint colour, and add their mean."""
    grid = np.linspace(0, 1, 201)
    for _, curve in curves:
        axes.plot(curve[0], curve[1], color=BLUE, alpha=0.25, linewidth=0.7)
    mean = np.mean([np.interp(grid, curve[0], curve[1]) for _, curve in curves], axis=0)
    area = np.mean([_area(curve) for _, curve in curves])
    (line,) = axes.plot(grid, mean, color=BLACK, linewidth=1.6)
    axes.legend([line], [f"mean of {len(curves)} classes ({area:.3f})"], loc="lower right")


def _area(curve: RocCurve) -> float:
    return float(np.trapezoid(curve.true_positive_rate, curve.false_positive_rate))
