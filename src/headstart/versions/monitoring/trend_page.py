"""The champions of the last year as text, JSON and a page that needs neither network nor scripts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from headstart.pipeline.evaluation.canvas import BLUE, VERMILION, png_of
from headstart.versions.monitoring.trend import Accuracy, Champion, Trend

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DAY = 10  # characters of a time that are its day


def as_text(found: Trend) -> str:
    """A table for a terminal."""
    header = ("version", "champion since", "until", "accuracy then", "accuracy now", "")
    rows = [header, *(_row(champion) for champion in found.champions)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    lines = [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    return "\n".join([f"{found.model}: {found.sentence()}", "", *lines])


def as_html(found: Trend) -> str:
    """The table with a plot as an HTML page."""
    from headstart.pipeline.pages.html import render

    return render(
        "headstart.versions.monitoring",
        "trend.html.j2",
        {},
        found=found,
        rows=[_row(champion) for champion in found.champions],
        plot=trend_png(found.champions),
    )


def figure(accuracy: Accuracy | None) -> str:
    """An accuracy with its interval and number of images."""
    if accuracy is None:
        return "not measured"
    bounds = f"{accuracy.low:.3f} to {accuracy.high:.3f}"
    return f"{accuracy.value:.3f} ({bounds}; {accuracy.images} images)"


def trend_png(champions: Sequence[Champion]) -> bytes:
    """Accuracy then and now with intervals, one place per champion in the order of time, as PNG bytes."""
    names = [f"version {champion.reign.version}\n{champion.reign.since[:DAY]}" for champion in champions]

    def draw(canvas: "Figure") -> None:
        axes = canvas.add_subplot()
        sides = (
            ("on its own test images, when it was registered", BLUE, "o", -0.08, [c.then for c in champions]),
            ("on the images that count today", VERMILION, "s", 0.08, [c.now for c in champions]),
        )
        for label, colour, marker, shift, values in sides:
            known = [(place + shift, one) for place, one in enumerate(values) if one is not None]
            axes.errorbar(
                [place for place, _ in known],
                [one.value for _, one in known],
                yerr=[
                    [one.value - one.low for _, one in known],
                    [one.high - one.value for _, one in known],
                ],
                color=colour,
                marker=marker,
                linestyle="-",
                linewidth=0.8,
                capsize=3,
                label=label,
            )
        axes.set_xticks(range(len(names)), names, rotation=90 if len(names) > 8 else 0)
        axes.set(ylabel="accuracy", xlim=(-0.5, len(names) - 0.5))
        canvas.legend(loc="outside upper center", ncols=1)

    return png_of(draw, min(12.0, max(5.0, 0.9 * len(names))), 3.6)


def _row(champion: Champion) -> tuple[str, str, str, str, str, str]:
    reign = champion.reign
    return (
        reign.version,
        reign.since[:DAY],
        reign.until[:DAY] if reign.until else "today",
        figure(champion.then),
        figure(champion.now),
        champion.note,
    )
