"""The plot of section "Learning curve"."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from headstart.pipeline.evaluation.canvas import BLUE, GREY, VERMILION, png_of
from headstart.pipeline.evaluation.intervals import Interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def curve_png(
    sizes: NDArray[np.float64],
    accuracies: NDArray[np.float64],
    head: float,
    gain: Interval | None,
) -> bytes:
    """Draw the accuracy by the number of training images, its spread, and what twice as many would give.

    Args:
        sizes: float64 [S].
        accuracies: float64 [DRAWS, S].
        head: the head's accuracy, trained on the largest number.
        gain: interval of the rise with twice the images; None leaves it out.
    """

    def draw(figure: "Figure") -> None:
        axes = figure.add_subplot()
        means = accuracies.mean(0)
        axes.fill_between(sizes, accuracies.min(0), accuracies.max(0), color=BLUE, alpha=0.15, linewidth=0)
        axes.plot(sizes, means, "o-", color=BLUE, label="probe: mean and range of the draws")
        axes.plot(sizes[-1:], [head], "D", color=VERMILION, label="head")
        if gain is not None:
            last = means[-1]
            low, high = (float(np.clip(last + end, 0, 1)) for end in (gain.low, gain.high))
            middle = (low + high) / 2
            twice = 2 * sizes[-1]
            axes.plot([sizes[-1], twice], [last, middle], ":", color=GREY)
            axes.errorbar(
                [twice], [middle], yerr=(high - low) / 2, fmt="none", color=GREY, capsize=4,
                label="twice the images: interval",
            )  # fmt: skip
        axes.set_xlim(left=0)
        axes.set_xlabel("training images")
        axes.set_ylabel("accuracy")
        axes.legend(loc="lower right")

    return png_of(draw, 6.2, 3.6)
