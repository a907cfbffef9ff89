"""The images that are compared: in folders that somebody names, or kept by servers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from headstart.errors import NothingKept
from headstart.pipeline.data.reading import shown
from headstart.sources.finding import find_images
from headstart.versions.serving.kept.store import KeptStore


@dataclass(frozen=True)
class Images:
    """New images.

    Attributes:
        source: where they come from, in words.
    """

    source: str
    files: list[Path]


def images_of(given: Sequence[str], source: str | None, kept: Path, days: int) -> Images:
    """The images in the folders, files or patterns that are given, else in `source`, else those kept.

    Args:
        source: `monitor.source`; None for kept images.
        kept: folder of kept answers.
        days: age of kept answers at most.

    Raises:
        DataError: a source without any file.
        NothingKept: nothing is given, and no image was kept in these days.
    """
    if sources := list(given) or ([] if source is None else [source]):
        return Images(shown(" ".join(sources)), find_images(sources))
    try:
        return kept_images(kept, days)
    except NothingKept as error:
        raise NothingKept(
            f"no images to compare: {error}; or set monitor.source to a folder or a pattern"
        ) from error


def kept_images(folder: Path, days: int, now: datetime | None = None) -> Images:
    """The images of all answers kept in the last days, whichever version gave them: each file once.

    Args:
        now: with its time zone; the present by default.

    Raises:
        NothingKept: there is no such folder, or no image in it is as new.
    """
    since = (now or datetime.now(UTC)) - timedelta(days=days)
    with KeptStore(folder) as store:
        found = [row.image for row in store.read(since=since)]
    files = list(dict.fromkeys(path for path in found if path is not None))
    when = f"in the last {days} days in {folder}"
    without = sum(path is None for path in found)
    if not files:
        raise NothingKept(
            f"{without or 'no'} answers were kept {when}, none with its image; set serve.keep to a share of "
            "requests, such as 0.05, and serve.keep_images to true"
        )
    parts = [f"{len(files)} different images of {len(found)} answers kept {when}"]
    if without:
        parts.append(f"{without} of these answers without their image are not compared")
    return Images("; ".join(parts), files)
