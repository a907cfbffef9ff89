"""An exported file beside its version: among the artifacts of its run, named by a tag with its digest."""

import tempfile
from pathlib import Path

from headstart.errors import HeadstartError
from headstart.versions.registry import tracking, versions
from headstart.versions.registry.record import Record

FOLDER = "export"  # of a run's artifacts


def store(record: Record, kind: str, path: Path, name: str, digest: str, replace: bool) -> str:
    """Store a file with the version's run, then its digest with the version as the tag `export.KIND`.

    A file lies in a folder named by its digest, so another one never takes its place, and the tag names only
    what is stored. A file that was stored before is not stored again.

    Args:
        record: of a version, or of a run, whose tag is then `headstart.export.KIND`.
        replace: whether the tag may name this file instead of another one.

    Returns:
        Its path among the artifacts.

    Raises:
        HeadstartError: the tag names another file, and `replace` is False.
        TrackingError: the server cannot be reached, or does not store the file.
    """
    key, folder = f"{FOLDER}.{kind}", f"{FOLDER}/{digest[:12]}"
    earlier = versions.tag_of(record.name, key)
    if earlier not in (None, digest) and not replace:
        raise HeadstartError(
            f"{record.name} was exported as {kind} before: its tag {key} has SHA-256 {str(earlier)[:12]}, "
            f"and this file has {digest[:12]}, as other libraries or options write it. Nothing was written: "
            "--replace lets the tag name this one, --no-log writes OUT alone"
        )
    client = tracking.connect()
    with tracking.translated(f"store {folder}/{name}"):
        found = [item.path for item in client.list_artifacts(record.run_id, folder)]
        if earlier != digest or f"{folder}/{name}" not in found:
            with tempfile.TemporaryDirectory() as temporary:
                link = Path(temporary) / name
                link.symlink_to(path.resolve())
                client.log_artifact(record.run_id, str(link), folder)
    if earlier != digest:
        versions.tag(record.name, key, digest)
    return f"{folder}/{name}"
