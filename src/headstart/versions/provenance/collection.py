"""`headstart gc`: find or move aside what no ref, recent run or registered version needs."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from headstart import repository
from headstart.errors import LineageError
from headstart.ground.wording import named
from headstart.repository import Remote, garbage
from headstart.versions.registry import tracking
from headstart.versions.registry.record import download_tree_files, mark_champions, runs_to_keep

SHOWN = 20


@dataclass(frozen=True)
class _Found:
    """Number of unneeded files, and the total bytes of those whose size is known here."""

    files: int
    bytes: int

    @classmethod
    def of(cls, digests: Collection[str], sizes: Mapping[str, int]) -> "_Found":
        return cls(len(digests), sum(sizes[digest] for digest in digests if digest in sizes))


@dataclass(frozen=True)
class Collected:
    """The unneeded files that were found or moved aside.

    Attributes:
        kept: readable names of everything that files are kept for.
        remote: None if the remote was not touched.
        alone: no other clone was named, so it is unknown what other projects keep on the remote.
        left: why the remote was left as it is; "" if it was not.
        lost: versions without a record, and folders without a list: it is unknown which files they need.
        aside: the folders that the files were moved to.
        forgotten: number of files moved aside more than a week ago and removed for good now.
        environments: number of old environments and states of killed trainings in HEADSTART_CACHE.
        deleted: whether the files were moved aside.
    """

    kept: tuple[str, ...]
    cache: _Found
    remote: _Found | None
    remote_name: str | None
    alone: bool
    left: str
    lost: tuple[str, ...]
    aside: tuple[str, ...]
    forgotten: int
    environments: int
    deleted: bool

    def as_dict(self) -> dict[str, object]:
        """The result as JSON data."""
        return asdict(self)

    def as_text(self) -> str:
        """The result as lines for a terminal."""
        done = "moved aside" if self.deleted else "would be moved aside"
        lines = [f"kept for: {', '.join(self.kept[:SHOWN])}{_more(len(self.kept))}"]
        if self.lost:
            lines.append(
                f"unknown, since their record or list is nowhere: {', '.join(self.lost[:SHOWN])}"
                f"{_more(len(self.lost))}"
            )
        if self.left:
            lines.append(f"remote {self.remote_name}: left as it is, since {self.left}")
        elif self.remote is not None and self.alone:
            lines.append(
                f"remote {self.remote_name}: other projects may need files there "
                "(name their clones with --project)"
            )
        lines.append(f"cache: {self.cache.files} files, {self.cache.bytes / 1e6:.1f} MB {done}")
        if self.remote is not None and not self.left:
            size = f"({self.remote.bytes / 1e6:.1f} MB of known size)"
            lines.append(f"remote {self.remote_name}: {self.remote.files} files {done} {size}")
        if self.environments:
            removed = "removed" if self.deleted else "would be removed"
            lines.append(
                f"HEADSTART_CACHE: {self.environments} old environments and states of killed trainings "
                f"{removed}"
            )
        if self.aside:
            folders = " and ".join(self.aside)
            lines.append(f"moved to {folders}; `headstart gc --restore` brings them back")
        if self.forgotten:
            lines.append(f"{self.forgotten} files moved aside more than a week ago are removed for good")
        if not self.deleted:
            lines.append("nothing was changed; --delete moves them aside, and removes them a week later")
        return "\n".join(lines)


def collect_garbage(
    *,
    days: float,
    remote: str | None,
    projects: list[str],
    delete: bool,
    without_versions: bool,
    without_lists: bool,
) -> Collected:
    """Find unneeded files or move them aside.

    Every version on the tracking server and every former champion is kept.

    Args:
        days: runs under refs/runs younger than this are kept.
        remote: name of the DVC remote, "" for the default one, None to leave remotes alone.
        projects: other clones whose data and outs are kept.
        delete: move the files aside; otherwise nothing is written anywhere.
        without_versions: delete even if the tracking server has no version.
        without_lists: delete even if it is unknown which files a needed folder has.

    Raises:
        LineageError: the server has no version; more often than not, its address is wrong.
    """
    tracking.connect()
    with TemporaryDirectory() as folder:
        with tracking.translated("list the registered versions"):
            if delete:
                mark_champions()
            runs = runs_to_keep()
            if delete and not runs and not without_versions:
                raise LineageError(
                    f"{tracking.server_name()} has no registered version: is MLFLOW_TRACKING_URI right? "
                    "If it is, pass --no-versions"
                )
            records = {
                name: download_tree_files(run_id, Path(folder) / run_id) for run_id, name in runs.items()
            }
        unknown = _without_record(runs, records)
        if delete and unknown and not without_lists:
            raise LineageError(
                f"the runs of {named(unknown, most=SHOWN)} were removed for good, so it is unknown which "
                "files they need, and nothing was removed. Delete these versions in MLflow, or give up their "
                "files with --without-lists"
            )
        name = Remote.default().name if remote == "" else remote
        found = garbage.collect(
            records,
            days=days,
            remote=name,
            projects=projects,
            delete=delete,
            without_lists=without_lists,
        )
    old = garbage.prune_environments(max(days, 7), delete)
    return Collected(
        kept=found.kept,
        cache=_Found.of(found.cache, found.sizes),
        remote=None if name is None else _Found.of(found.remote, found.sizes),
        remote_name=name,
        alone=not projects,
        left=found.left,
        lost=(*unknown, *(f"{digest} ({needed_by})" for digest, needed_by in found.lost.items())),
        aside=found.aside,
        forgotten=found.forgotten,
        environments=len(old),
        deleted=delete,
    )


def _without_record(runs: Mapping[str, str], records: Mapping[str, Mapping[str, Path]]) -> list[str]:
    """Names of versions whose record is gone, unless `refs/versions/` of this clone has it too."""
    return [
        name
        for run_id, name in runs.items()
        if not records[name] and repository.run_of_version(*_model_and_number(name)) != run_id
    ]


def _model_and_number(name: str) -> tuple[str, str]:
    model, _, number = name.partition(":/")[2].partition("/")
    return model, number


def bring_back(remote: str | None) -> int:
    """Bring back what was moved aside within a week, and return the number of files.

    Args:
        remote: name of the DVC remote, "" for the default one, None to leave remotes alone.
    """
    return garbage.restore(Remote.default().name if remote == "" else remote)


def _more(count: int) -> str:
    return f" and {count - SHOWN} more" if count > SHOWN else ""
