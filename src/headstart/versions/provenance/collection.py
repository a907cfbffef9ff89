"""`headstart gc`: what no branch, tag, recent run or registered version needs."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from headstart.errors import LineageError
from headstart.repository import Remote, garbage
from headstart.versions.registry import tracking
from headstart.versions.registry.record import download_tree_files, mark_champions, runs_to_keep

SHOWN = 20


@dataclass(frozen=True)
class _Found:
    """Files that nothing needs, and the bytes of those whose size is known here."""

    files: int
    bytes: int

    @classmethod
    def of(cls, digests: Collection[str], sizes: Mapping[str, int]) -> "_Found":
        return cls(len(digests), sum(sizes[digest] for digest in digests if digest in sizes))


@dataclass(frozen=True)
class Collected:
    """What nothing needs, found or removed.

    Attributes:
        kept: what needs something, for people.
        remote: None if the remote was left as it is.
        alone: no other clone was named, so what others keep on the remote is unknown.
        environments: old environments and states of killed trainings in HEADSTART_CACHE.
        deleted: whether it was removed.
    """

    kept: tuple[str, ...]
    cache: _Found
    remote: _Found | None
    remote_name: str | None
    alone: bool
    environments: int
    deleted: bool

    def as_dict(self) -> dict[str, object]:
        """For programs."""
        return asdict(self)

    def as_text(self) -> str:
        """Lines for a terminal."""
        done = "removed" if self.deleted else "would be removed"
        lines = [f"kept for: {', '.join(self.kept[:SHOWN])}{_more(len(self.kept))}"]
        if self.remote is not None and self.alone:
            lines.append(
                f"remote {self.remote_name}: what other projects keep there is not known here "
                "(--project names a clone)"
            )
        lines.append(f"cache: {self.cache.files} files, {self.cache.bytes / 1e6:.1f} MB {done}")
        if self.remote is not None:
            size = f"({self.remote.bytes / 1e6:.1f} MB of them known here)"
            lines.append(f"remote {self.remote_name}: {self.remote.files} files {done} {size}")
        if self.environments:
            lines.append(
                f"HEADSTART_CACHE: {self.environments} old environments and states of killed trainings {done}"
            )
        if not self.deleted:
            lines.append("nothing was changed; --delete removes them")
        return "\n".join(lines)


def collect_garbage(
    *, days: float, remote: str | None, projects: list[str], delete: bool, without_versions: bool
) -> Collected:
    """Find, or remove, what nothing needs; every version on the tracking server is kept, and once-champions.

    Args:
        days: younger runs under refs/runs are kept.
        remote: name of the DVC remote, "" for the default one, None to leave it as it is.
        projects: other clones whose data and outs are kept.
        delete: remove; else nothing is written anywhere.
        without_versions: delete although the tracking server has no version.

    Raises:
        LineageError: the server has no version, which is more often a wrong address than the truth.
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
                    "With --no-versions it is taken at its word"
                )
            records = {
                name: download_tree_files(run_id, Path(folder) / run_id) for run_id, name in runs.items()
            }
        name = Remote.default().name if remote == "" else remote
        found = garbage.collect(records, days=days, remote=name, projects=projects, delete=delete)
    old = garbage.prune_environments(max(days, 7), delete)
    return Collected(
        kept=found.kept,
        cache=_Found.of(found.cache, found.sizes),
        remote=None if name is None else _Found.of(found.remote, found.sizes),
        remote_name=name,
        alone=not projects,
        environments=len(old),
        deleted=delete,
    )


def _more(count: int) -> str:
    return f" and {count - SHOWN} more" if count > SHOWN else ""
