"""The monitoring page: verdict, checks, distributions, least familiar images; needs no network or script."""

from pathlib import Path
from typing import Any

import numpy as np

from headstart.ground.markdown import cell
from headstart.ground.wording import confidence, share
from headstart.pipeline.data.shown import jpeg_of
from headstart.pipeline.evaluation.report import Figure
from headstart.pipeline.pages.html import render
from headstart.versions.monitoring.age import Age
from headstart.versions.monitoring.drift import SUBJECTS, Check, Drift, Reference, Subject, sides
from headstart.versions.monitoring.observing import Observed
from headstart.versions.monitoring.plots import shares_png, values_png
from headstart.versions.monitoring.unusual import unusualness

PICTURED = 24
FAILURES_SHOWN = 200
AXES = {
    "confidence": "probability of the predicted class",
    "brightness": "mean luma, 0 is black, 1 is white",
    "contrast": "deviation of the luma",
    "sharpness": "deviation of the Laplacian over that of the luma",
    "size": "root of the area, pixels",
}


def as_html(model: str, source: str, found: Drift, reference: Reference, new: Observed) -> str:
    """The comparison as an HTML page; the same comparison gives the same bytes."""
    return render(
        "headstart.versions.monitoring",
        "drift.html.j2",
        {"p_value": p_value, "share": share, "confidence": confidence},
        model=model,
        source=source,
        found=found,
        figures=_figures(found, reference, new) if len(new) else [],
        unusual=[(each, jpeg_of(Path(each.path))) for each in found.unusual[:PICTURED]],
        failures=found.failures[:FAILURES_SHOWN],
    )


def as_dict(model: str, source: str, found: Drift, age: Age | None) -> dict[str, Any]:
    """The comparison for programs; `age` is None if `monitor.max_age_days` is null."""
    return {"model": model, "source": source, "age": age.to_dict() if age else None, **found.to_dict()}


def as_text(model: str, source: str, found: Drift) -> str:
    """The comparison as text for a terminal."""
    lines = [f"{source} against {model}", found.sentence(), ""]
    lines += [_line(check) for check in found.checks]
    lines += ["", counts(found)]
    if found.failures:
        named = "; ".join(f"{path}: {reason}" for path, reason in found.failures[:5])
        more = f"; and {len(found.failures) - 5} more" if len(found.failures) > 5 else ""
        lines.append(f"{len(found.failures)} cannot be read: {named}{more}")
    if found.unusual:
        lines.append("least familiar: " + ", ".join(each.path for each in found.unusual[:5]))
    return "\n".join(lines)


def as_markdown(model: str, source: str, found: Drift) -> str:
    """The comparison as Markdown, for a flow run's page and a notification."""
    rows = [
        f"| {check.title} | {cell(check.figure or check.skipped)} | {check.against} "
        f"| {p_value(check.adjusted)} | {'**drift**' if check.drifted else '-' if check.skipped else 'ok'} |"
        for check in found.checks
    ]
    least = [
        f"- `{each.path}`: {cell(each.label)}, {confidence(each.confidence)}; further from training than "
        f"{share(each.further_than)} of its images"
        for each in found.unusual[:10]
    ]
    table = ["| check | figure | against | adjusted p | verdict |", "|---|---|---|---|---|", *rows]
    parts = [
        f"# {found.verdict.capitalize()}",
        found.sentence(),
        f"`{source}` against `{model}`. {counts(found)}",
    ]
    return "\n\n".join(
        [*parts, "\n".join(table), *(["Least familiar:\n\n" + "\n".join(least)] if least else [])]
    )


def counts(found: Drift) -> str:
    """The files that the figures are based on, in a sentence."""
    words = f"{found.files} files"
    if found.looked_at < found.files:
        words += f", {found.looked_at} drawn from them"
    words += f"; {found.readable} readable"
    if found.distinct < found.readable:
        words += f", {found.readable - found.distinct} of them copies of another"
    if found.seen:
        words += f"; {found.seen} known from training, left out of the checks of answers"
    return words


def p_value(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}" if value < 0.1 else f"{value:.2f}"


def _line(check: Check) -> str:
    if check.skipped:
        return f"  {check.title:<20}not checked: {check.skipped}"
    verdict = "DRIFT" if check.drifted else "ok"
    return (
        f"  {check.title:<20}{verdict:<7}{check.figure:<34}adjusted p {p_value(check.adjusted)}, "
        f"{check.new_images} against {check.reference_images} {check.against}"
    )


def _figures(found: Drift, reference: Reference, new: Observed) -> list[Figure]:
    """One plot per check, those that drifted first."""
    checks = {check.name: check for check in found.checks}
    pairs = sides(reference, new)
    order = sorted(SUBJECTS, key=lambda subject: not checks[subject.name].drifted)
    return [
        Figure(subject.title, _caption(checks[subject.name]), png)
        for subject in order
        if (png := _png(subject, *pairs[subject.against])) is not None
    ]


def _png(subject: Subject, side: Observed, new: Observed) -> bytes | None:
    """The plot of one check; None if a side has too few images to show."""
    if len(side) < 2 or not len(new):
        return None
    if subject.kind == "rows":
        found = unusualness(side.features, new.features)
        axis = "distance to the 5 nearest training images"
        return values_png(found.reference, found.new, subject.against, axis)
    left, right = side.table[subject.column], new.table[subject.column]
    if subject.kind == "shares":
        return shares_png(left.tolist(), right.tolist(), subject.against, "")
    numbers = [each.to_numpy(dtype=np.float64) for each in (left, right)]
    return values_png(numbers[0], numbers[1], subject.against, AXES[subject.column])


def _caption(check: Check) -> str:
    if check.skipped:
        return f"Not checked: {check.skipped}."
    verdict = "Drift" if check.drifted else "No drift"
    return f"{verdict}: {check.figure}, adjusted p {p_value(check.adjusted)}."
