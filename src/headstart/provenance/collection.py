"""`headstart gc`: what no branch, tag, recent run or registered version needs."""

from pathlib import Path
from tempfile import TemporaryDirectory

from headstart.errors import LineageError
from headstart.lineage import default_remote, garbage
from headstart.registry import tracking
from headstart.registry.record import download_tree_files, runs_to_keep

SHOWN = 20


def collect_garbage(
    *, days: float, remote: str | None, projects: list[str], delete: bool, without_versions: bool
) -> str:
    """Find, or remove, what nothing needs; every version on the tracking server is kept, and once-champions.

    Args:
        days: younger runs under refs/runs are kept.
        remote: name of the DVC remote, "" for the default one, None to leave it as it is.
        projects: other clones whose data and outs are kept.
        delete: remove; else only say.
        without_versions: delete although the tracking server has no version.

    Returns:
        What was found, as lines for a terminal.

    Raises:
        LineageError: the server has no version, which is more often a wrong address than the truth.
    """
    tracking.connect()
    with TemporaryDirectory() as folder:
        with tracking.translated("list the registered versions"):
            runs = runs_to_keep()
            if delete and not runs and not without_versions:
                raise LineageError(
                    f"{tracking.server_name()} has no registered version: is MLFLOW_TRACKING_URI right? "
                    "With --no-versions it is taken at its word"
                )
            records = {
                name: download_tree_files(run_id, Path(folder) / run_id) for run_id, name in runs.items()
            }
        name = default_remote() if remote == "" else remote
        found = garbage.collect(records, days=days, remote=name, projects=projects, delete=delete)
    old = garbage.prune_environments(max(days, 7), delete)
    done = "removed" if delete else "would be removed"
    lines = [f"kept for: {', '.join(found.kept[:SHOWN])}{_more(len(found.kept))}"]
    if remote is not None and not projects:
        lines.append(
            f"remote {name}: what other projects keep there is not known here (--project names a clone)"
        )
    sizes = [found.sizes[digest] for digest in found.cache if digest in found.sizes]
    lines.append(f"cache: {len(found.cache)} files, {sum(sizes) / 1e6:.1f} MB {done}")
    if remote is not None:
        known = [found.sizes[digest] for digest in found.remote if digest in found.sizes]
        lines.append(
            f"remote {name}: {len(found.remote)} files {done} ({sum(known) / 1e6:.1f} MB of them known here)"
        )
    if old:
        lines.append(f"HEADSTART_CACHE: {len(old)} old environments and states of killed trainings {done}")
    if not delete:
        lines.append("nothing was changed; --delete removes them")
    return "\n".join(lines)


def _more(count: int) -> str:
    return f" and {count - SHOWN} more" if count > SHOWN else ""
