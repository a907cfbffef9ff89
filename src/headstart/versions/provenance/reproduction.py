"""`headstart reproduce`: reproduce a registered version from its record alone, and compare."""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headstart import repository
from headstart.errors import LineageError
from headstart.ground import paths
from headstart.ground.paths import cache_folder
from headstart.ground.reading import load_json
from headstart.host.plain_environment import without_credentials
from headstart.pipeline.network import checkpoint
from headstart.repository import code_lock, environments, fresh_clone, package_archive
from headstart.versions.provenance import agreement
from headstart.versions.registry.record import REF_TAG, Record, open_record

FIRST = "preprocess"
AGAIN = ("--force", "--no-run-cache", "--no-commit")


@dataclass(frozen=True)
class Options:
    """How to reproduce a version.

    Attributes:
        start: the first stage to run; the outs of earlier stages are restored.
        tolerance: largest accepted difference of a metric or probability on another kind of machine.
        environment: `recorded` or `current`.
        keep: keep the clone in which the stages ran.
    """

    start: str = FIRST
    tolerance: float = 0.02
    environment: str = "recorded"
    keep: bool = False


@dataclass(frozen=True)
class Reproduction:
    """A reproduced version: how it was made, and how it compares with the record."""

    name: str
    run_id: str
    commit: str
    has_diff: bool
    stages: tuple[str, ...]
    is_partial: bool
    commit_from: str
    environment: str
    seconds: float
    found: agreement.Agreement
    folder: Path | None

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON data."""
        return {
            "model": self.name,
            "run_id": self.run_id,
            "commit": self.commit,
            "uncommitted_changes": self.has_diff,
            "commit_from": self.commit_from,
            "stages_run": list(self.stages),
            "partial": self.is_partial,
            "environment": self.environment,
            "seconds": self.seconds,
            **self.found.to_dict(),
        }

    def as_text(self) -> str:
        """The report as a table."""
        found, predictions = self.found, self.found.predictions
        partial = f" (partial: from {self.stages[0]} on)" if self.is_partial else ""
        changed = len(found.changed_metrics)
        worst = max(found.metrics, key=lambda figure: figure.gap, default=None)
        rows = [
            ("Version", self.name),
            ("Commit", f"{self.commit[:12]}, from {self.commit_from}"),
            ("Uncommitted changes", "applied" if self.has_diff else "none"),
            ("Environment", self.environment),
            ("Machine", f"differs in {', '.join(found.machine)}" if found.machine else "of the same kind"),
            ("Stages run", f"{', '.join(self.stages)} in {self.seconds:.0f} s{partial}"),
            ("Stage outputs", f"{sum(out.same for out in found.outs)} of {len(found.outs)} identical"),
            ("Head", "identical" if found.head_recorded == found.head_again else "different"),
            ("Metrics", f"{len(found.metrics) - changed} of {len(found.metrics)} identical"),
            ("Predictions", f"{predictions.identical} of {predictions.images} identical"),
        ]
        if found.first_difference:
            rows.append(("First difference", found.first_difference))
        if worst is not None and worst.gap > 0:
            rows.append(("Largest metric change", f"{worst.name}: {worst.recorded} became {worst.again}"))
        if not predictions.same:
            rows.append(("First image", f"{predictions.first}; {len(predictions.relabelled)} changed class"))
            rows.append(("Largest probability gap", f"{predictions.probability_gap:.3g}"))
        if self.folder is not None:
            rows.append(("Kept in", str(self.folder)))
        verdict: str = found.verdict
        if verdict == "within tolerance":
            verdict += f" ({found.tolerance:g}, on another kind of machine)"
        rows.append(("Verdict", f"{verdict}{partial}"))
        return "\n".join(f"{name:<25}{value}" for name, value in rows)


def reproduce(source: str, options: Options, say: Callable[[str], None]) -> Reproduction:
    """Reproduce a version or run in a clone of its own, and compare every result with the record.

    Only MLflow, git (or the recorded bundle) and DVC's cache or remote are used. The row store starts empty
    and DVC's run-cache is off, so that every stage from `options.start` on is really computed.

    Args:
        source: `models:/NAME/VERSION`, `models:/NAME@ALIAS`, `runs:/ID` or a run's id.
        say: called with each step as it starts.

    Raises:
        HeadstartError: the record is incomplete or was changed, or something it names is unavailable.
    """
    started = time.monotonic()
    with _folder(options.keep) as folder:
        say(f"fetching the record of {source}")
        record = open_record(source, folder)
        record.check()
        names = record.stages
        if options.start not in names:
            raise LineageError(f"--from {options.start}: expected a stage of the record, {', '.join(names)}")
        before = names[: names.index(options.start)]
        stages = names[names.index(options.start) :]
        clone = folder / "clone"
        fetch_bundle = lambda path: record.shared_file("commit.bundle", path)  # noqa: E731
        found_at = fresh_clone.clone_at(clone, record.commit, record.tags.get(REF_TAG, ""), fetch_bundle)
        say(f"commit {record.commit[:12]} from {found_at}")
        fresh_clone.apply_diff(clone, record.diff)
        project = clone / record.place
        fresh_clone.write_files(project, record.tree_files())
        _bring_package(record, folder, project)
        fresh_clone.share_dvc(project)
        python, environment = _environment(record, folder, options.environment, say)
        wanted = [name for name in record.tree_files() if name.endswith(".dvc")]
        say(f"restoring {', '.join([*wanted, *before])} from DVC")
        fresh_clone.restore(project, [*wanted, *before])
        if python == sys.executable:
            code_lock.take_libraries(project)  # only now: DVC has compared the rest with the record
        apart = {"HEADSTART_CACHE": str(folder / "store"), "DVC_SITE_CACHE_DIR": str(folder / "dvc")}
        for name in stages:
            _run(project, name, apart, python)
        found = agreement.Agreement(
            outs=agreement.compare_outs(record.lock, project, stages),
            head_recorded=record.tags["headstart.head"],
            head_again=str(checkpoint.metadata(project / paths.HEAD, checkpoint.HEAD)["digest"]),
            metrics=agreement.compare_metrics(
                record.run.data.metrics,
                record.folder / "reports",
                project / paths.METRICS.parent,
            ),
            predictions=agreement.compare_predictions(record.predictions, project / paths.PREDICTIONS),
            machine=agreement.compare_machines(record.environments, _environments(project, stages)),
            tolerance=options.tolerance,
        )
        took = time.monotonic() - started
        kept = project if options.keep else None
        return Reproduction(
            name=record.name,
            run_id=record.run_id,
            commit=record.commit,
            has_diff=bool(record.diff),
            stages=tuple(stages),
            is_partial=names.index(options.start) > names.index(FIRST),
            commit_from=found_at,
            environment=environment,
            seconds=took,
            found=found,
            folder=kept,
        )


def _bring_package(record: Record, folder: Path, project: Path) -> None:
    """Put the package that a project without the code ran into its clone, which then runs it."""
    archive = folder / package_archive.NAME
    if record.shared_file(package_archive.NAME, archive):
        package_archive.unpack(archive, project / "src")


@contextmanager
def _folder(keep: bool) -> Iterator[Path]:
    parent = cache_folder() / "reproductions"
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=parent))
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def _environment(record: Record, folder: Path, wanted: str, say: Callable[[str], None]) -> tuple[str, str]:
    """The interpreter to run the stages with, and its description for the report."""
    lock = folder / paths.LOCK.name
    record.shared_file(paths.LOCK.name, lock)
    python = str(next(iter(record.environments.values()))["python"])
    differ = environments.differences(lock, python)
    if not differ:
        return sys.executable, "as recorded: the one running this command"
    first = ", ".join(f"{name} {was}, here {now}" for name, (was, now) in list(differ.items())[:3])
    shown = f"different here: {first}" + (f" and {len(differ) - 3} more" if len(differ) > 3 else "")
    if wanted == "current":
        return sys.executable, f"not the recorded one; {shown}"
    say(f"building the recorded environment; {shown}")
    return environments.python_of(lock, python), f"built from the recorded lock; {shown}"


def _run(project: Path, name: str, environment: dict[str, str], python: str) -> None:
    is_open = False

    def on_progress(text: str) -> None:
        nonlocal is_open
        is_open = True
        print(f"\r{text}", end="", file=sys.stderr, flush=True)

    def on_line(line: str) -> None:
        nonlocal is_open
        if line.startswith(f"{name}: ") and "%|" not in line:
            print("\n" * is_open + line, file=sys.stderr, flush=True)
            is_open = False

    repository.run_stage(
        name,
        on_line,
        on_progress,
        arguments=AGAIN,
        folder=project,
        environment=environment,
        inherited=without_credentials(os.environ),  # the record brings its own code
        python=python,
    )
    if is_open:
        print(file=sys.stderr)


def _environments(project: Path, stages: list[str]) -> dict[str, dict[str, Any]]:
    files = [project / paths.ENVIRONMENTS / f"{stage}.json" for stage in stages]
    return {path.stem: load_json(path) for path in files if path.exists()}


def default_report(made: Reproduction) -> Path:
    """Default path of the JSON report: `reports/reproductions/NAME-VERSION.json`."""
    name = made.name.partition(":/")[2].replace("/", "-")
    return (
        Path("reports/reproductions") / f"{name}{f'-from-{made.stages[0]}' if made.is_partial else ''}.json"
    )
