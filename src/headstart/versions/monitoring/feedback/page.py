"""The report on accuracy in production as text, and as a page that needs neither network nor scripts."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from headstart.ground.markdown import cell
from headstart.ground.wording import points, share
from headstart.pipeline.evaluation.canvas import BLUE, GREY, PALETTE, png_of
from headstart.versions.monitoring.feedback.figures import Figure
from headstart.versions.monitoring.feedback.report import ClassRow, Feedback, PeriodRow, VersionRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

PERIODS_SHOWN = 60
TICKS = 12
ASSUMPTION = (
    "The estimate is the mean probability that an answer is right, by its confidence, as calibrated on the "
    "version's test images. It assumes that answers of one confidence are as often right in production as "
    "they were in the test. It does not notice if the meaning of a class changes, and it is too high if the "
    "model is wrongly sure of a kind of picture that the test has not: only labels show that."
)


def as_html(found: Feedback) -> str:
    """The report as an HTML page; the same report gives the same bytes."""
    from headstart.pipeline.pages.html import render

    periods = found.periods[-PERIODS_SHOWN:]
    return render(
        "headstart.versions.monitoring",
        "feedback.html.j2",
        {"figure": figure_text, "share": share},
        found=found,
        newest=found.versions[0] if found.versions else None,
        periods=periods,
        plot=periods_png(found, periods) if any(row.accuracy or row.estimate for row in periods) else None,
        changes=[_change(row) for row in found.versions],
        counts=[counts(row) for row in found.versions],
        assumption=ASSUMPTION,
    )


def as_text(found: Feedback) -> str:
    """The report for a terminal."""
    lines = [*(f"ALARM: {alarm.sentence()}" for alarm in found.alarms), found.sentence()]
    for row in found.versions:
        lines += ["", row.version, *(f"  {line}" for line in _version_lines(row))]
    if found.classes:
        lines += ["", f"by class, {found.versions[0].version}", *_class_lines(found.classes)]
    labelled = [row for row in found.periods if row.accuracy]
    if labelled:
        lines += ["", f"by {found.unit}", *(f"  {_period_line(row)}" for row in labelled[-TICKS:])]
    return "\n".join(lines)


def as_markdown(found: Feedback) -> str:
    """The report for a flow run's page."""
    rows = [
        f"| {cell(row.version)} | {figure_text(row.accuracy)} | {figure_text(row.estimate)} "
        f"| {figure_text(row.test)} |"
        for row in found.versions
    ]
    alarms = [f"**{cell(alarm.sentence())}**" for alarm in found.alarms]
    head = "| version | by labels | estimated from confidences | test |\n|---|---|---|---|"
    return "\n\n".join(
        ["# Accuracy in production", *alarms, found.sentence(), "\n".join([head, *rows]), ASSUMPTION]
    )


def figure_text(figure: Figure | None) -> str:
    """A share with its interval and number of images."""
    if figure is None:
        return "not known"
    images = f"{figure.images} image{'' if figure.images == 1 else 's'}"
    return f"{share(figure.value)} ({share(figure.low)} to {share(figure.high)}; {images})"


def counts(row: VersionRow) -> str:
    """The images behind a version's figures, in words."""
    parts = [f"{row.labelled} of {row.images} images have a label"]
    if row.images and row.labelled:
        parts[0] += f" ({share(row.labelled / row.images)})"
    if row.picked:
        parts.append(
            f"{row.picked} were picked for being doubtful ({row.picked_labelled} of them labelled), and "
            "stand for themselves alone"
        )
    if row.refused:
        parts.append(f"{row.refused} were refused, and count by their most probable class")
    if row.seen:
        parts.append(f"{row.seen} that it was trained or selected on are left out")
    if row.unreadable:
        parts.append(f"{row.unreadable} cannot be read")
    return "; ".join([*parts, row.note] if row.note else parts)


def _version_lines(row: VersionRow) -> Iterator[str]:
    yield f"by labels          {figure_text(row.accuracy)}"
    if row.answered:
        yield f"without refused    {figure_text(row.answered)}"
    yield f"from confidences   {figure_text(row.estimate)}"
    yield f"its test           {figure_text(row.test)}"
    if row.change:
        yield f"labels less test   {_change(row)}"
    yield counts(row)


def _change(row: VersionRow) -> str:
    if row.change is None:
        return ""
    return f"{points(row.change.value)} ({points(row.change.low)} to {points(row.change.high)})"


def _class_lines(rows: Sequence[ClassRow]) -> Iterator[str]:
    for row in rows:
        lacks = "" if row.is_known else "  (the version lacks this class)"
        yield f"  {row.name}{lacks}"
        yield f"    recall     {figure_text(row.recall)}; test {figure_text(row.test_recall)}"
        if row.is_known:
            yield f"    precision  {figure_text(row.precision)}; test {figure_text(row.test_precision)}"


def _period_line(row: PeriodRow) -> str:
    return f"{row.since}  {row.version}  {figure_text(row.accuracy)}"


def periods_png(found: Feedback, periods: Sequence[PeriodRow]) -> bytes:
    """Accuracy by labels and as estimated over time, a colour per version, with intervals: PNG bytes."""
    days = sorted({row.since for row in periods})
    versions = [row.version for row in reversed(found.versions)]

    def draw(canvas: "Canvas") -> None:
        axes = canvas.add_subplot()
        for number, version in enumerate(versions):
            own = [row for row in periods if row.version == version]
            colour = PALETTE[number % len(PALETTE)]
            _series(axes, days, own, version, colour)
        _test_lines(axes, found, len(days))
        step = max(1, len(days) // TICKS)
        axes.set_xticks(range(0, len(days), step), days[::step], rotation=30, ha="right")
        axes.set(ylabel="accuracy", xlim=(-0.6, len(days) - 0.4), ylim=(None, 1.01))
        canvas.legend(loc="outside upper center", ncols=1)

    return png_of(draw, 8.0, 3.8)


def _series(axes: "Axes", days: Sequence[str], rows: Sequence[PeriodRow], version: str, colour: str) -> None:
    for name, marker, shift, alpha in (("accuracy", "o", -0.1, 1.0), ("estimate", "x", 0.1, 0.55)):
        known = [(days.index(row.since) + shift, each) for row in rows if (each := getattr(row, name))]
        if not known:
            continue
        values = [each.value for _, each in known]
        ends = [
            [each.value - each.low for _, each in known],
            [each.high - each.value for _, each in known],
        ]
        how = "by labels" if name == "accuracy" else "estimated from confidences"
        axes.errorbar(
            [place for place, _ in known], values, yerr=ends, color=colour, marker=marker, alpha=alpha,
            linestyle="-" if name == "accuracy" else ":", linewidth=0.9, capsize=2, label=f"{version}, {how}",
        )  # fmt: skip


def _test_lines(axes: "Axes", found: Feedback, days: int) -> None:
    """The newest version's test figure with its interval."""
    test = found.versions[0].test
    if test is not None:
        axes.axhline(test.value, color=GREY, linewidth=0.9, label=f"{found.versions[0].version}, test")
        axes.fill_between([-0.6, days - 0.4], test.low, test.high, color=BLUE, alpha=0.07, linewidth=0)
