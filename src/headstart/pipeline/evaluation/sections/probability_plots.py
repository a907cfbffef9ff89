"""Plots of precision and recall, and of the accuracy among images that are answered."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from headstart.pipeline.evaluation.canvas import BLUE, GREY, PALETTE, VERMILION, names_shown, png_of
from headstart.pipeline.evaluation.decisions import Flags, Floats, PrCurve, accuracy_by_coverage

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DASHES = ("-", "--", "-.", ":")
HEIGHT = 6.0  # inches: the names of the curves are below them, where they hide none


def pr_png(curves: Mapping[str, PrCurve]) -> bytes:
    """Precision against recall, a curve per class with its average precision; at most seven classes."""

    def draw(figure: "Figure") -> None:
        axes = figure.add_subplot()
        names = names_shown(list(curves))
        lines = []
        for index, curve in enumerate(curves.values()):
            lines += axes.step(
                np.append(0, curve.recall),
                np.append(curve.precision[0], curve.precision),
                color=PALETTE[index],
                linestyle=DASHES[index % len(DASHES)],
                where="pre",
            )
        axes.set(
            xlabel="recall: share of the class that is found", ylabel="precision: share of answers right"
        )
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
        # Given one by one: a label that begins with an underscore would be left out.
        labels = [f"{name} ({curve.average:.3f})" for name, curve in zip(names, curves.values(), strict=True)]
        title = "class (average precision)"
        figure.legend(lines, labels, title=title, loc="outside lower center", fontsize=8)

    return png_of(draw, 5.2, HEIGHT)


def coverage_png(
    right: Flags, confidence: Floats, nearness: Floats | None, points: Mapping[float, tuple[float, float]]
) -> bytes:
    """Accuracy among the images that are answered, by their share.

    Args:
        right: bool [N], whether an image's answer is right.
        confidence: float64 [N].
        nearness: float64 [N], minus the distance from the nearest training image; None if there is none.
        points: share answered and accuracy by the rate of refusal, for confidence.
    """

    def draw(figure: "Figure") -> None:
        axes = figure.add_subplot()
        coverage, accuracy = accuracy_by_coverage(confidence, right)
        axes.plot(coverage, accuracy, color=BLUE, label="the least confident first")
        if nearness is not None:
            coverage, accuracy = accuracy_by_coverage(nearness, right)
            axes.plot(
                coverage, accuracy, color=VERMILION, linestyle="--", label="the farthest from training first"
            )
        axes.axhline(float(right.mean()), color=GREY, linewidth=0.8, linestyle=":", label="all are answered")
        rates: dict[tuple[float, float], list[str]] = {}
        for rate, point in points.items():
            rates.setdefault(point, []).append(f"{rate:.0%}")
        for index, ((answered, share), names) in enumerate(rates.items()):
            axes.plot([answered], [share], "o", color=BLUE, markersize=4)
            place = (0, 6 if index % 2 == 0 else -13)  # neighbours stand above and below the curve
            axes.annotate(
                ", ".join(names), (answered, share), textcoords="offset points", xytext=place, fontsize=8
            )
        axes.set(xlabel="share of images answered", ylabel="accuracy among them", xlim=(1.01, -0.01))
        axes.margins(y=0.1)
        figure.legend(title="refused:", loc="outside lower center", fontsize=8)

    return png_of(draw, 5.2, HEIGHT)
