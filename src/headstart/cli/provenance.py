"""Commands for provenance: reproduce, trace and compare versions, and remove unneeded files."""

import argparse
import sys
from pathlib import Path

from headstart.cli.commands import MODEL, ORIGIN, Commands, add_json
from headstart.cli.entering import enter_any, enter_with, report

VERSION = f"{MODEL}, or runs:/ID"


def add_to(commands: Commands) -> None:
    """Add reproduce, lineage, compare and gc."""
    again = commands.add(
        ORIGIN,
        "reproduce",
        "reproduce a version and compare every result",
        _reproduce,
        about="Uses only its MLflow record, git and DVC. Exit status 0: identical, 3: within tolerance "
        "on another kind of machine, 4: different, 1: it could not be done.",
        example="headstart reproduce headstart@champion",
    )
    again.add_argument("model", metavar="MODEL_OR_RUN", help=VERSION)
    again.add_argument(
        "--from",
        dest="start",
        metavar="STAGE",
        help="first stage to run, default: preprocess; a later one is a partial check",
    )
    again.add_argument("--tolerance", type=float, help="for metrics and probabilities, default: 0.02")
    again.add_argument(
        "--environment",
        choices=("recorded", "current"),
        help="recorded (default): built from the recorded lock if this one differs; current: this one",
    )
    again.add_argument(
        "--report", type=Path, metavar="FILE", help="the report, as JSON; default: in reports/reproductions/"
    )
    again.add_argument("--keep", action="store_true", help="keep the clone in which it ran")
    again.add_argument("--tag", action="store_true", help="tag the version with the verdict, as `reproduced`")
    add_json(again)
    origin = commands.add(
        ORIGIN,
        "lineage",
        "show how a version was made, on one page",
        _lineage,
        about="Commit, data, parameters, backbone, environment, machine, gate and parent.",
        example="headstart lineage headstart@champion",
    )
    origin.add_argument("model", metavar="MODEL", help=VERSION)
    add_json(origin)
    origin.add_argument("--html", type=Path, metavar="FILE", help="write it as a page too")
    compare = commands.add(
        ORIGIN,
        "compare",
        "show what changed between two versions",
        _compare,
        about="Images, parameters, code, environment, metrics and predictions.",
        example="headstart compare headstart/1 headstart@champion",
    )
    compare.add_argument("before", metavar="A", help=VERSION)
    compare.add_argument("after", metavar="B", help=VERSION)
    add_json(compare)
    compare.add_argument(
        "--html",
        type=Path,
        metavar="FILE",
        help="the page; default: reports/comparisons/A..B.html, and none outside of a project",
    )
    _add_gc(commands)


def _add_gc(commands: Commands) -> None:
    gc = commands.add(
        ORIGIN,
        "gc",
        "remove what nothing needs from DVC's cache and remote",
        _gc,
        about="Keeps what a branch, tag, experiment, stash, worktree, recent run or registered version "
        "needs. Without --delete it only reports; with it, files are moved aside and removed a week later.",
        example="headstart gc --days 30",
    )
    gc.add_argument("--delete", action="store_true", help="move the files aside; default: a dry run")
    gc.add_argument("--restore", action="store_true", help="bring back what was moved aside")
    gc.add_argument("--cache-only", action="store_true", help="leave the remote as it is")
    gc.add_argument("--remote", metavar="NAME", help="a DVC remote; default: DVC's default remote")
    gc.add_argument(
        "--days", type=float, default=7, help="runs under refs/runs younger than this are kept; default: 7"
    )
    gc.add_argument(
        "--project",
        action="append",
        default=[],
        metavar="PATH",
        help="another clone with this cache or remote",
    )
    gc.add_argument("--no-versions", action="store_true", help="delete even if MLflow has no version")
    gc.add_argument(
        "--without-lists", action="store_true", help="delete even if the list of a needed folder is nowhere"
    )
    add_json(gc)


def _reproduce(chosen: argparse.Namespace) -> None:
    [report_path] = enter_with(str(chosen.report or ""))
    from headstart.cli.json_output import print_result
    from headstart.ground.files import write_json
    from headstart.versions.provenance import reproduction
    from headstart.versions.registry import versions

    given = {name: getattr(chosen, name) for name in ("start", "tolerance", "environment")}
    options = reproduction.Options(
        **{name: value for name, value in given.items() if value is not None}, keep=chosen.keep
    )
    made = reproduction.reproduce(chosen.model, options, report)
    path = Path(report_path) if chosen.report else reproduction.default_report(made)
    write_json(path, made.to_dict())
    print_result(chosen.json, made.to_dict, lambda: f"{made.as_text()}\n{'Report':<25}{path}")
    verdict = made.found.verdict
    if chosen.tag:
        partial = f" (from {made.stages[0]} on)" if made.is_partial else ""
        versions.tag(made.name, "reproduced", f"{verdict}{partial}")
    sys.exit({"identical": 0, "within tolerance": 3, "different": 4}[verdict])


def _lineage(chosen: argparse.Namespace) -> None:
    root, [page_path] = enter_any(str(chosen.html or ""))
    from tempfile import TemporaryDirectory

    from headstart.cli.json_output import print_result
    from headstart.ground.files import write_text
    from headstart.versions.provenance import origin
    from headstart.versions.registry import tracking
    from headstart.versions.registry.record import open_record

    with tracking.in_project(root), TemporaryDirectory() as folder:
        record = open_record(chosen.model, Path(folder))
        page = origin.origin_of(record)
        name = record.name
    if chosen.html:
        write_text(Path(page_path), origin.as_html(page, f"What made {name}"))
    print_result(chosen.json, lambda: origin.as_dict(page), lambda: origin.as_text(page))


def _compare(chosen: argparse.Namespace) -> None:
    root, [page_path] = enter_any(str(chosen.html or ""))
    from tempfile import TemporaryDirectory

    from headstart.cli.json_output import print_result
    from headstart.ground.files import write_text
    from headstart.versions.provenance import comparison
    from headstart.versions.registry import tracking
    from headstart.versions.registry.record import open_record

    with tracking.in_project(root), TemporaryDirectory() as left, TemporaryDirectory() as right:
        before, after = open_record(chosen.before, Path(left)), open_record(chosen.after, Path(right))
        found = comparison.compare(before, after)
        if root is not None:  # the pictures come from its data or DVC's remote
            found = comparison.with_thumbnails(found, after)
    names = [name.partition(":/")[2].replace("/", "-") for name in (found.before, found.after)]
    default = Path("reports/comparisons") / f"{names[0]}..{names[1]}.html" if root is not None else None
    path = Path(page_path) if chosen.html else default
    if path is not None:
        write_text(path, comparison.as_html(found))
    page = f"\n\nPage: {path}" if path is not None else ""
    print_result(chosen.json, found.to_dict, lambda: comparison.as_text(found) + page)


def _gc(chosen: argparse.Namespace) -> None:
    projects = enter_with(*chosen.project)
    from headstart.cli.json_output import print_result
    from headstart.versions.provenance import collection

    remote = None if chosen.cache_only else chosen.remote or ""
    if chosen.restore:
        count = collection.bring_back(remote)
        said = f"{count} files are back in their places" if count else "nothing was moved aside within a week"
        print_result(chosen.json, lambda: {"restored": count}, lambda: said)
        return
    found = collection.collect_garbage(
        days=chosen.days,
        remote=remote,
        projects=[str(Path(project).resolve()) for project in projects],
        delete=chosen.delete,
        without_versions=chosen.no_versions,
        without_lists=chosen.without_lists,
    )
    print_result(chosen.json, found.as_dict, found.as_text)
