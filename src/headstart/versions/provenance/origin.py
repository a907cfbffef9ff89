"""`headstart lineage`: how a version was made, on one page."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from headstart.versions.registry import tracking, versions
from headstart.versions.registry.record import (
    INIT_TAG,
    REF_TAG,
    VERSION_TAG,
    Record,
    head_of_version,
    open_record,
)

LINEAGE_PAGE = "lineage.html"

Facts = Sequence[tuple[str, str]]
Page = Sequence[tuple[str, Facts]]


def origin_of(record: Record) -> Page:
    """The sections of the page: each a title and its facts as (name, value)."""
    tags = record.tags
    return [
        ("Version", _version(record)),
        (
            "Code",
            [
                ("commit", record.commit),
                ("branch", tags.get("mlflow.source.git.branch") or "none (detached)"),
                (
                    "on a git remote",
                    "yes" if tags["headstart.commit_on_remote"] == "true" else "no, as a bundle",
                ),
                (
                    "uncommitted changes",
                    f"{len(record.diff.splitlines())} lines of diff (record/uncommitted.diff)"
                    if record.diff
                    else "none",
                ),
                ("kept in git as", tags.get(REF_TAG, "nothing")),
            ],
        ),
        ("Data", _data(record)),
        ("Network", _network(record)),
        ("Parameters", sorted(record.run.data.params.items())),
        ("Results", _results(record)),
        ("Environment", _environment(record)),
    ]


def as_text(page: Page) -> str:
    """The page as text for a terminal."""
    width = max(len(name) for _, facts in page for name, _ in facts) + 2
    parts = []
    for title, facts in page:
        lines = [f"  {name:<{width}}{value}" for name, value in facts]
        parts.append("\n".join([title, *lines]))
    return "\n\n".join(parts)


def as_dict(page: Page) -> dict[str, dict[str, str]]:
    """The page for programs: the facts of each part, by its title."""
    return {title: dict(facts) for title, facts in page}


def as_html(page: Page, title: str) -> str:
    """The page as HTML that needs neither network nor scripts."""
    from headstart.pipeline.pages.html import render

    return render("headstart.versions.provenance", "origin.html.j2", {}, page=page, title=title)


def keep_page(source: str) -> None:
    """Store a version's page as an artifact of its run; the version's card links to it there."""
    with TemporaryDirectory() as folder:
        record = open_record(source, Path(folder))
        page = as_html(origin_of(record), f"What made {record.name}")
        tracking.keep_text(record.run_id, page, LINEAGE_PAGE)


def _version(record: Record) -> Facts:
    tags, found = record.tags, record.version
    facts = [("name", record.name)]
    if found is not None:
        facts += [
            ("aliases", ", ".join(record.aliases) or "none"),
            ("gate", (found.description or "").split("\n")[0] or found.tags.get("gate", "not judged")),
        ]
        if found.tags.get("reproduced"):
            facts.append(("reproduced", found.tags["reproduced"]))
    facts += [
        ("MLflow run", record.run_id),
        (
            "flow run",
            tags.get("headstart.flow_run_name") or tags.get("headstart.flow_run") or "none, run by command",
        ),
        ("results (dvc.lock)", tags[versions.LOCK_TAG]),
    ]
    return facts


def _data(record: Record) -> Facts:
    counts: dict[str, dict[str, int]] = record.validation["classes"]
    facts = [("DVC version", record.tags["headstart.data"])]
    for name, splits in sorted(counts.items()):
        facts.append((name, ", ".join(f"{split} {count}" for split, count in splits.items())))
    facts.append(("validation", _validated(record.validation)))
    return facts


def _validated(validation: dict[str, Any]) -> str:
    verdict = "passed" if validation["success"] else "failed"
    return f"{verdict}: {validation['files']} files, {validation['files'] - validation['kept']} left out"


def _network(record: Record) -> Facts:
    tags = record.tags
    init = tags.get(INIT_TAG, "none")
    parent = "none: trained from new layers"
    if init != "none":
        found = head_of_version(init)
        parent = f"models:/{found.name}/{found.version}" if found else "a head that no version holds"
        parent += f" ({init[:12]})"
    return [
        ("backbone", tags["headstart.backbone_source"]),
        ("backbone digest", tags["headstart.backbone"]),
        ("head digest", tags["headstart.head"]),
        ("parent head", parent),
    ]


def _results(record: Record) -> Facts:
    metrics = record.metrics
    facts = [("test images", str(metrics["images"]))]
    for name, bounds in metrics["intervals"].items():
        facts.append((name, f"{metrics[name]:.4f} ({bounds['low']:.4f} to {bounds['high']:.4f})"))
    return facts


def _environment(record: Record) -> Facts:
    facts: list[tuple[str, str]] = []
    for stage, found in record.environments.items():
        versions_of = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
        facts.append(
            (
                stage,
                f"{found['device']} ({found['cpu_capability']}), {found['precision']}, "
                f"Python {found['python']}, {versions_of}",
            )
        )
    if VERSION_TAG in record.tags:
        facts.append(("headstart", record.tags[VERSION_TAG]))
    return [*facts, ("requirements.lock", record.packages)]
