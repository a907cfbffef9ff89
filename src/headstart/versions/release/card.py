"""The model card: a version's description, Markdown that MLflow's pages show."""

from headstart.ground.markdown import cell, table
from headstart.ground.reading import load_table
from headstart.versions.provenance import comparison
from headstart.versions.provenance.origin import LINEAGE_PAGE
from headstart.versions.registry import tracking
from headstart.versions.registry.record import AGAIN, Record
from headstart.versions.release.decision import Decision, share

LIMIT = 5000  # characters that MLflow's database takes
SHOWN = 5
HOW_TO = (
    "To put this version into production, press the **pencil beside Aliases** on this page (**Add** where it "
    "has no alias) and add the alias `champion`. The big *Promote model* button only copies the version to "
    "another registered model: it changes nothing here."
)
FIRST = (
    "No other version is champion, so its registration makes this one `champion`: if that alias stands "
    "beside *Aliases* on this page, it is in use and nothing is left to do. If it does not, press the "
    "**pencil beside Aliases** (**Add** where it has no alias) and add `champion`."
)
NEXT = {
    "failed": "Look at what failed below and at the mistakes in the report, mend data or settings, and train "
    "again.",
    "inconclusive": "Its test images do not decide. Add images that the champion has not seen, and train "
    "again; or, if a check could not be measured, mend what its line says and judge the version again.",
}


def as_markdown(record: Record, decision: Decision) -> str:
    """The page for a promoter; the verdict is its first line, all that a list of versions shows."""
    parts = [
        decision.sentence(),
        _what_to_do(record, decision),
        *_warning(record),
        _checks(decision),
        _weak(record),
        _what(record),
        _links(record, decision),
    ]
    text = "\n\n".join(part for part in parts if part) + "\n"
    if len(text) <= LIMIT:
        return text
    note = "\n\nThe card is cut here; `gate/gate.json` of the run has every check.\n"
    return text[: LIMIT - len(note)].rpartition("\n")[0] + note


def _what_to_do(record: Record, decision: Decision) -> str:
    if decision.passed:
        return HOW_TO if decision.champion else FIRST
    return (
        f"**Do not promote this version: the gate's verdict is {decision.verdict}.** "
        f"{NEXT[decision.verdict]} The guard takes `champion` back from a version that did not pass. To "
        "promote it all the same, with your reason in the journal: "
        f"`headstart promote {record.name} --override REASON`."
    )


def _warning(record: Record) -> list[str]:
    if not record.tags["headstart.backbone_source"].startswith("random"):
        return []
    return ["**Backbone weights: random**, never trained on anything."]


def _checks(decision: Decision) -> str:
    against = (
        f"champion is version {decision.champion}" if decision.champion else "no other version is champion"
    )
    rows = [
        (
            check.title,
            _shown(check.verdict),
            cell(check.measured()),
            cell(check.wanted),
            cell(check.note),
        )
        for check in decision.checks
    ]
    return "\n\n".join(
        [
            f"### Checks ({against})",
            table(("check", "verdict", "found", "required", "note"), rows),
            "`gate/gate.json` among the run's artifacts has every figure.",  # keeps the next heading apart
        ]
    )


def _shown(verdict: str) -> str:
    return verdict if verdict == "passed" else f"**{verdict}**"


def _weak(record: Record) -> str:
    seen = [
        (own.recall, own.support, name)
        for name, own in record.classes.items()
        if own.support and own.recall is not None
    ]
    worst = sorted(seen, key=lambda each: each[0])[:SHOWN]
    recalls = [
        f"{cell(name)}, {round(recall * images)} of {images} found ({share(recall)})"
        for recall, images, name in worst
    ]
    lines = [f"### Where it is weak\n\nLowest recall of {len(seen)} classes: {'; '.join(recalls)}."]
    predictions = load_table(record.predictions, ["label", "predicted"], AGAIN)
    wrong = predictions[predictions["label"] != predictions["predicted"]]
    pairs = wrong.groupby(["label", "predicted"]).size().sort_values(ascending=False, kind="stable")[:SHOWN]
    confused = [
        f"{cell(label)} taken for {cell(predicted)}: {count}" for (label, predicted), count in pairs.items()
    ]
    lines.append(f"Most confused: {', '.join(confused) or 'nothing, every test image is right'}.")
    return " ".join(lines)


def _what(record: Record) -> str:
    params, counts = record.params, record.validation["classes"]
    images = {split: sum(own.get(split, 0) for own in counts.values()) for split in ("train", "val", "test")}
    names = sorted(counts)
    classes = ", ".join(map(cell, names[:20])) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
    changed = ", with uncommitted changes (record/uncommitted.diff)" if record.diff else ""
    return "\n".join(
        [
            "### What it is",
            "",
            f"- Network: {params['backbone']['arch']}, head `{params['model']['head']}`, "
            f"{params['features']['precision']}",
            f"- Backbone: {record.tags['headstart.backbone_source']}",
            f"- Classes: {classes}",
            f"- Images: {', '.join(f'{split} {count}' for split, count in images.items())}",
            f"- Data: DVC `{record.tags['headstart.data']}`",
            f"- Commit: `{record.commit[:12]}`{changed}",
        ]
    )


def _links(record: Record, decision: Decision) -> str:
    """Links to the run's pages, and the commands to go further.

    They are relative, so that they hold wherever MLflow's pages are opened from: by another name than this
    process has for the server, behind a proxy, or by `make ui` over a database.
    """
    files = {
        "report": "reports/report.html",
        "the data": "reports/data.html",
        "lineage": LINEAGE_PAGE,
        "validation": "reports/validation.json",
        "every check": "gate/gate.json",
    }
    if decision.champion:
        files["data, code and predictions beside the champion's"] = comparison.PAGE
    artifacts = tracking.artifacts_page(record.run.info.experiment_id, record.run_id)
    shown = ", ".join(f"[{title}]({artifacts}/{path})" for title, path in files.items())
    return "\n".join(
        [
            "### Where to look next",
            "",
            f"- Pages: {shown}",
            f"- What made it: `headstart lineage {record.name}`",
            f"- Make it again and compare: `headstart reproduce {record.name}`",
            f"- Judge it again: `headstart gate {record.name}`",
        ]
    )
