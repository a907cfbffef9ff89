"""Batch scoring on the flow run's page: first its progress, then counts, errors and the version."""

import time
from typing import TYPE_CHECKING

from prefect.artifacts import create_progress_artifact, update_progress_artifact

from headstart.ground.markdown import cell

if TYPE_CHECKING:
    from headstart.versions.serving.batch_scoring import Scored

SHOWN_ERRORS = 20
LONGEST_ERROR = 300
PROGRESS_SECONDS = 5.0


class ScoringProgress:
    """Shows the progress on the flow run's page, updated at most every few seconds."""

    def __init__(self) -> None:
        self._artifact = create_progress_artifact(0.0, key="scoring-progress", description="Images scored, %")
        self._next = 0.0

    def __call__(self, done: int, total: int) -> None:
        if time.monotonic() >= self._next or done == total:
            update_progress_artifact(self._artifact, 100 * done / total)  # type: ignore[arg-type]
            self._next = time.monotonic() + PROGRESS_SECONDS


def as_markdown(scored: "Scored") -> str:
    """Counts per class, the most common errors, and the version that scored."""
    from headstart.versions.release import overview

    version = scored.version
    lines = [f"## {scored.rows} images by {version.uri}", "", f"In `{scored.out}`.", ""]
    lines += ["| label | images |", "|---|---|"]
    lines += [f"| {cell(label)} | {count} |" for label, count in sorted(scored.labels().items())]
    errors = scored.errors()
    lines += ["", f"Without a label: {sum(errors.values())}.", ""]
    lines += [
        f"- {count} x {cell(error, LONGEST_ERROR)}" for error, count in errors.most_common(SHOWN_ERRORS)
    ]
    lines += [
        "",
        f"Head `{version.head[:12]}`, backbone `{version.backbone[:12]}`, run `{version.run_id}`.",
        "",
    ]
    if version.name is not None and version.number is not None:
        lines += overview.links(version.name, version.number)
    return "\n".join(lines) + "\n"
