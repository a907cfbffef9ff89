"""`headstart compare`: what changed between two versions."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from headstart.errors import LineageError
from headstart.ground import paths
from headstart.ground.reading import load_table
from headstart.ground.wording import confidence, named
from headstart.repository import fresh_clone
from headstart.repository.environments import pinned
from headstart.repository.programs import git_line
from headstart.versions.provenance.paired_images import Paired, pair
from headstart.versions.provenance.source_changes import source_changes
from headstart.versions.registry import tracking
from headstart.versions.registry.record import AGAIN, MANIFEST, Record
from headstart.versions.registry.recorded_images import earlier_heads

SHOWN = 200  # pictures on a page
NAMED = 20  # images in a terminal
MIN_CLASS_IMAGES = 10  # for a version whose params have no gate
PAGE = "gate/comparison.html"  # artifact of a version's run: this version after the champion


@dataclass(frozen=True)
class Image:
    """An image: its path and its class in each version ("" in a version that lacks it)."""

    path: str
    before: str
    after: str


@dataclass(frozen=True)
class Metric:
    """A test metric with its confidence interval in each version."""

    name: str
    before: float | None
    after: float | None
    before_interval: tuple[float, float] | None
    after_interval: tuple[float, float] | None

    @property
    def difference(self) -> float | None:
        """The later figure less the earlier one."""
        return None if self.before is None or self.after is None else self.after - self.before


@dataclass(frozen=True)
class Flip:
    """A picture in both test splits for which the versions predict different classes.

    `sha256` is the digest of its file; `thumbnail` holds JPEG bytes, empty if the file was unavailable.
    """

    path: str
    label: str
    before: str
    after: str
    before_confidence: float
    after_confidence: float
    sha256: str
    thumbnail: bytes = b""


@dataclass(frozen=True)
class Comparison:
    """All differences. Mappings go from a name to (before, after), with None on a side that lacks it."""

    before: str
    after: str
    added: tuple[Image, ...]
    removed: tuple[Image, ...]
    relabelled: tuple[Image, ...]
    counts: Mapping[str, tuple[int, int]]
    data: Mapping[str, tuple[Any, Any]]
    params: Mapping[str, tuple[Any, Any]]
    code: Mapping[str, str]
    commits: tuple[str, ...]
    environment: Mapping[str, tuple[Any, Any]]
    metrics: tuple[Metric, ...]
    common_test_images: int
    flips: tuple[Flip, ...]
    paired: Paired

    def to_dict(self) -> dict[str, Any]:
        def listed(images: Sequence[Image]) -> list[dict[str, str]]:
            return [dict(vars(image)) for image in images]

        return {
            "before": self.before,
            "after": self.after,
            "images": {
                "added": listed(self.added),
                "removed": listed(self.removed),
                "relabelled": listed(self.relabelled),
                "counts": {name: list(counts) for name, counts in self.counts.items()},
            },
            "data": {name: list(values) for name, values in self.data.items()},
            "params": {name: list(values) for name, values in self.params.items()},
            "code": dict(self.code),
            "commits": list(self.commits),
            "environment": {name: list(values) for name, values in self.environment.items()},
            "metrics": [{**vars(metric), "difference": metric.difference} for metric in self.metrics],
            "paired": self.paired.to_dict(),
            "common_test_images": self.common_test_images,
            "predictions": [
                {name: value for name, value in vars(flip).items() if name != "thumbnail"}
                for flip in self.flips
            ],
        }


def compare(before: Record, after: Record) -> Comparison:
    """Compare two records, without fetching pictures; see `with_thumbnails`."""
    left, right = _images(before), _images(after)
    added, removed, relabelled = _image_changes(left, right)
    common, flips = _flips(before, after, right)
    return Comparison(
        before=before.name,
        after=after.name,
        added=added,
        removed=removed,
        relabelled=relabelled,
        counts=_counts(left, right),
        data=_changes(_figures(before), _figures(after)),
        params=_changes(_flat(before.params), _flat(after.params)),
        code=source_changes(before, after),
        commits=_commits(before, after),
        environment=_changes(_environment(before), _environment(after)),
        metrics=_metrics(before.metrics, after.metrics),
        common_test_images=common,
        flips=flips,
        paired=_paired(before, after, right),
    )


def with_thumbnails(comparison: Comparison, after: Record) -> Comparison:
    """Add the pictures whose prediction changed: from the tree's data, or else DVC's cache or remote."""
    from headstart.pipeline.data.shown import jpeg_of

    shown = comparison.flips[:SHOWN]
    with TemporaryDirectory() as folder:
        found = _fetch([flip for flip in shown if not _in_tree(flip)], after, Path(folder))
        pictures = []
        for flip in shown:
            path = found.get(flip.path) or (paths.DATA / flip.path if _in_tree(flip) else None)
            thumbnail = b"" if path is None else jpeg_of(path)
            pictures.append(replace(flip, thumbnail=thumbnail))
    return replace(comparison, flips=(*pictures, *comparison.flips[SHOWN:]))


def as_text(found: Comparison) -> str:
    """The comparison as text for a terminal."""
    parts = [f"{found.before} -> {found.after}"]
    parts += _section("Metrics", [_metric_line(metric) for metric in found.metrics])
    parts += _section("Common test images", found.paired.lines())
    images = [
        f"{title} {len(group)}: {_named(group)}"
        for title, group in (
            ("added", found.added),
            ("removed", found.removed),
            ("relabelled", found.relabelled),
        )
        if group
    ]
    images += [f"{name}: {was} -> {now}" for name, (was, now) in found.counts.items() if was != now]
    parts += _section("Images", images)
    parts += _section("Data", _pairs(found.data))
    parts += _section("Parameters", _pairs(found.params))
    parts += _section("Code", [f"{state} {path}" for path, state in found.code.items()])
    parts += _section("Commits", found.commits)
    parts += _section("Environment", _pairs(found.environment))
    flips = [f"{len(found.flips)} of {found.common_test_images} common test images changed class"]
    flips += [
        f"{flip.path} ({flip.label}): {flip.before} {confidence(flip.before_confidence)} -> "
        f"{flip.after} {confidence(flip.after_confidence)}"
        for flip in found.flips[:NAMED]
    ]
    return "\n".join([*parts, *_section("Predictions", flips)])


def as_html(found: Comparison) -> str:
    """The comparison as one HTML page that needs neither network nor scripts."""
    from headstart.pipeline.pages.html import render

    return render(
        "headstart.versions.provenance",
        "comparison.html.j2",
        {"confidence": confidence},
        found=found,
        shown=SHOWN,
    )


def keep_page(before: Record, after: Record) -> None:
    """Store the comparison as an artifact of the second's run; its version's card links to it there."""
    tracking.keep_text(after.run_id, as_html(with_thumbnails(compare(before, after), after)), PAGE)


def _images(record: Record) -> pd.DataFrame:
    """The manifest rows that the version used: path, label, split, pixels, sha256."""
    manifest = load_table(record.file(MANIFEST), advice=AGAIN)
    return manifest[manifest["excluded"] == ""]


def _image_changes(
    left: pd.DataFrame, right: pd.DataFrame
) -> tuple[tuple[Image, ...], tuple[Image, ...], tuple[Image, ...]]:
    """Added, removed and relabelled images, matched by pixels: a renamed one is neither added nor removed."""
    before, after = (table.drop_duplicates("pixels").set_index("pixels") for table in (left, right))
    new = after.loc[after.index.difference(before.index)].sort_values("path")
    gone = before.loc[before.index.difference(after.index)].sort_values("path")
    both = after.join(before["label"], how="inner", rsuffix=" before").sort_values("path")
    moved = both[both["label"] != both["label before"]]
    return (
        tuple(Image(row.path, "", row.label) for row in new.itertuples()),
        tuple(Image(row.path, row.label, "") for row in gone.itertuples()),
        tuple(
            Image(path, was, now)
            for path, was, now in zip(moved["path"], moved["label before"], moved["label"], strict=True)
        ),
    )


def _counts(left: pd.DataFrame, right: pd.DataFrame) -> dict[str, tuple[int, int]]:
    before, after = Counter(left["label"]), Counter(right["label"])
    return {name: (before[name], after[name]) for name in sorted({*before, *after})}


def _flat(params: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{section}.{key}": value for section, keys in params.items() for key, value in keys.items()}


def _figures(record: Record) -> dict[str, Any]:
    """Findings by check, and quantiles of brightness, sharpness and the like, by name."""
    figures = record.data_figures
    findings = {f"findings: {name}": count for name, count in figures.get("findings", {}).items()}
    return findings | {
        f"{name}: {level}": value
        for name, levels in figures.get("measures", {}).items()
        for level, value in levels.items()
    }


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    names = sorted({*before, *after})
    return {
        name: (before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)
    }


def _commits(before: Record, after: Record) -> tuple[str, ...]:
    """Subjects of the commits between the two, newest first, if this clone has them."""
    said = [] if before.commit != after.commit else [f"both from commit {before.commit[:12]}"]
    for record in (before, after):
        if record.diff:
            said.append(f"{record.name} has uncommitted changes (record/uncommitted.diff of its run)")
    if before.commit != after.commit:
        try:
            log = git_line("log", "--format=%h %s", f"{before.commit}..{after.commit}")
        except LineageError:
            return (f"{before.commit[:12]} -> {after.commit[:12]} (not in this clone)", *said)
        said += log.splitlines() or [f"{before.commit[:12]} -> {after.commit[:12]}"]
    return tuple(said)


def _environment(record: Record) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for stage, environment in record.environments.items():
        values = {**environment, **environment.get("versions", {})}
        found |= {
            f"{stage}: {name}": value for name, value in values.items() if name not in ("versions", "lock")
        }
    with TemporaryDirectory() as folder:
        lock = Path(folder) / paths.LOCK.name
        if record.shared_file(paths.LOCK.name, lock):
            found |= {f"package {name}": version for name, version in pinned(lock).items()}
    return found


def _metrics(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Metric, ...]:
    names = [name for name, value in after.items() if isinstance(value, int | float)]
    return tuple(
        Metric(name, before.get(name), after.get(name), _interval(before, name), _interval(after, name))
        for name in names
    )


def _interval(metrics: Mapping[str, Any], name: str) -> tuple[float, float] | None:
    bounds = metrics["intervals"].get(name)
    return None if bounds is None else (bounds["low"], bounds["high"])


def _flips(before: Record, after: Record, images: pd.DataFrame) -> tuple[int, tuple[Flip, ...]]:
    """Number of pictures that both tested, and those whose predicted class changed, most confident first."""
    left, right = (
        load_table(record.predictions, advice=AGAIN).drop_duplicates("pixels").set_index("pixels")
        for record in (before, after)
    )
    both = right.join(left[["predicted", "confidence"]], how="inner", rsuffix=" before")
    moved = both[both["predicted"] != both["predicted before"]].sort_values(
        ["confidence", "path"], ascending=[False, True]
    )
    files_of = images.set_index("path")["sha256"]
    return len(both), tuple(
        Flip(
            path=str(row["path"]),
            label=str(row["label"]),
            before=str(row["predicted before"]),
            after=str(row["predicted"]),
            before_confidence=float(row["confidence before"]),
            after_confidence=float(row["confidence"]),
            sha256=str(files_of[row["path"]]),
        )
        for row in moved.to_dict(orient="records")
    )


def _paired(before: Record, after: Record, images: pd.DataFrame) -> Paired:
    """Both versions on their common test images, at the later one's confidence.

    Images that the heads before either saw in training (`train.init`) do not count: they favour that version.
    """
    names = ["path", "pixels", "label", "predicted"]
    left, right = (load_table(record.predictions, names, AGAIN) for record in (before, after))
    known = images.drop_duplicates("pixels").set_index("pixels")
    no_groups = pd.Series("", known.index)  # manifests of early versions have none
    gate = after.params.get("gate", {})
    with TemporaryDirectory() as folder:
        earlier = {
            record.name: earlier_heads(record, Path(folder) / str(place))
            for place, record in enumerate((before, after))
        }
    return pair(
        left,
        right,
        known.get("group", no_groups),
        after.params["evaluate"]["confidence"],
        gate.get("min_class_images", MIN_CLASS_IMAGES),
        seen=set().union(*(each.pixels for each in earlier.values())),
        unknown=[name for name, each in earlier.items() if each.unknown],
    )


def _in_tree(flip: Flip) -> bool:
    import hashlib

    path = paths.DATA / flip.path
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == flip.sha256


def _fetch(flips: Sequence[Flip], record: Record, folder: Path) -> dict[str, Path]:
    if not flips:
        return {}
    return fresh_clone.restore_files(record.file("data.dvc"), [flip.path for flip in flips], folder)


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return ["", title, *(f"  {line}" for line in lines or ["nothing changed"])]


def _pairs(changes: Mapping[str, tuple[Any, Any]]) -> list[str]:
    return [f"{name}: {_told(was)} -> {_told(now)}" for name, (was, now) in changes.items()]


def _told(value: Any) -> str:
    return "absent" if value is None else str(value)


def _named(images: Sequence[Image]) -> str:
    moves = (f"{image.path} ({' -> '.join(filter(None, (image.before, image.after)))})" for image in images)
    return named(moves, NAMED)


def _metric_line(metric: Metric) -> str:
    def side(value: float | None, interval: tuple[float, float] | None) -> str:
        told = "n/a" if value is None else f"{value:.4g}"
        return told if interval is None else f"{told} ({interval[0]:.4g} to {interval[1]:.4g})"

    before = side(metric.before, metric.before_interval)
    change = "" if metric.difference is None else f", {metric.difference:+.4g}"
    return f"{metric.name}: {before} -> {side(metric.after, metric.after_interval)}{change}"
