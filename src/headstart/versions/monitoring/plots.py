"""Overlaid distributions of a version's own images and of new ones, as PNG bytes."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from headstart.ground.wording import share
from headstart.pipeline.evaluation.canvas import BLUE, VERMILION, names_shown, png_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BINS = 24
SHOWN = 20  # names, those that changed most
WIDTH, HEIGHT = 4.6, 2.6  # inches


def values_png(reference: NDArray[np.float64], new: NDArray[np.float64], label: str, axis: str) -> bytes:
    """Two histograms over the same bins, each as shares of its images.

    Args:
        label: name of the reference in the legend.
        axis: the measured quantity, with its unit.
    """
    low, high = (float(end) for end in np.quantile(np.concatenate([reference, new]), [0.0, 1.0]))
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1).tolist()

    def draw(figure: "Figure") -> None:
        axes = figure.add_subplot()
        for values, colour, name in ((reference, BLUE, label), (new, VERMILION, "new images")):
            weights = np.full(len(values), 1 / max(1, len(values)))
            axes.hist(values, edges, weights=weights, color=colour, alpha=0.35, label=name)
            axes.hist(values, edges, weights=weights, color=colour, histtype="step", linewidth=1.4)
        _finish(figure, axes, axis)

    return png_of(draw, WIDTH, HEIGHT)


def shares_png(reference: Sequence[str], new: Sequence[str], label: str, axis: str) -> bytes:
    """The share of each name on both sides, side by side."""
    before, after = Counter(reference), Counter(new)
    shares = {
        name: (before[name] / max(1, len(reference)), after[name] / max(1, len(new)))
        for name in sorted({*before, *after})
    }
    largest = sorted(shares, key=lambda name: -abs(shares[name][0] - shares[name][1]))[:SHOWN]
    names = [name for name in shares if name in largest]
    rows = np.arange(len(names))

    def draw(figure: "Figure") -> None:
        axes = figure.add_subplot()
        for side, colour, name in ((0, BLUE, label), (1, VERMILION, "new images")):
            widths = [shares[each][side] for each in names]
            bars = axes.barh(rows + 0.4 * side, widths, height=0.38, color=colour, alpha=0.8, label=name)
            axes.bar_label(bars, [share(width) for width in widths], fontsize=7, padding=2)
        axes.set_yticks(rows + 0.2, names_shown(names))
        axes.set(ylim=(len(names) - 0.2, -0.4))
        axes.grid(False, axis="y")
        axes.margins(x=0.15)
        _finish(figure, axes, axis)
        axes.set(ylabel="", xlabel="share of the images")

    return png_of(draw, WIDTH, max(HEIGHT, 1.1 + 0.42 * len(names)))


def _finish(figure: "Figure", axes: "Axes", axis: str) -> None:
    axes.set(xlabel=axis, ylabel="share of the images")
    figure.legend(loc="outside upper center", ncols=2)
