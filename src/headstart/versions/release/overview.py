"""A registered version against the champion, as Markdown for the page of the flow run that made it."""

import json
from datetime import UTC, datetime

from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient

from headstart.errors import HeadstartError
from headstart.ground import paths
from headstart.ground.markdown import cell
from headstart.versions.provenance import comparison
from headstart.versions.registry import tracking, versions
from headstart.versions.registry.versions import Registered
from headstart.versions.release import mistakes
from headstart.versions.release.decision import Decision, share

SHOWN = ("accuracy", "balanced_accuracy", "macro_f1", "roc_auc", "log_loss")
TITLES = {"passed": "Passed", "failed": "Did not pass", "inconclusive": "Inconclusive"}
LEVEL = "evaluate.confidence"  # parameter of a run
JUDGED = "gate/accuracy"  # a figure that each decision has
PAGES = {"index": "summary", "files": "each file", "set": "the whole set"}  # of validation


def as_markdown(
    registered: Registered,
    data: str,
    decision: Decision | None,
    is_unchanged: bool,
    *,
    with_pictures: bool = True,
) -> str:
    """Outcome of a flow run: the verdict, metrics beside the champion's, mistakes, images per class, links.

    The champion's figures are those of its own test images. The mistakes are those of the results in the
    tree, which must be the version's.

    Args:
        data: the images taken from `data.source`, in words.
        decision: the gate's, if this run judged the version; None if an earlier one did.
        is_unchanged: no stage ran, since the version holds the same results.
        with_pictures: of the mistakes; without them their names and labels are listed.
    """
    name, number = registered.name, registered.version
    client = tracking.connect()
    with tracking.translated("look up the version"):
        version = client.get_model_version(name, number)
        champion = _champion(client, name)
        verdict = decision.verdict if decision else version.tags.get(versions.GATE_TAG, "")
        lines = [f"## {TITLES.get(verdict, 'Not judged')}: {name} version {number}", ""]
        lines += [(version.description or "").split("\n")[0], ""]
        lines += [*_outcome(client, version, registered, decision, is_unchanged), ""]
        lines += _metrics(client, version, champion)
        lines += ["", *_mistakes(with_pictures), ""]
        lines += [f"Data: {data}", "", *_data(client, version), "", *_links(client, version)]
    return "\n".join(lines) + "\n"


def _mistakes(with_pictures: bool) -> list[str]:
    try:
        return mistakes.as_markdown(with_pictures)
    except (HeadstartError, KeyError) as error:  # the version stands all the same
        return [f"The mistakes cannot be shown: {error}"]


def page_of(name: str, number: str) -> str:
    """The address of a version's page; without a server, the URI that `headstart lineage` takes."""
    if not tracking.is_shared():
        return f"models:/{name}/{number}"
    tracking.connect()
    return tracking.page(f"models/{name}/versions/{number}")


def has_current_pages() -> bool:
    """Whether the project has validation pages, and they belong to its validation.json."""
    index = paths.DATA_DOCS / "index.html"
    return index.exists() and index.stat().st_mtime >= paths.VALIDATION.stat().st_mtime


def _outcome(
    client: MlflowClient,
    version: ModelVersion,
    registered: Registered,
    decision: Decision | None,
    is_unchanged: bool,
) -> list[str]:
    """Paragraphs about this run: it judged the version, or found it registered and judged."""
    if decision is None:
        found = "**Registered before.** The results are those of this version: nothing was registered again."
        if is_unchanged:
            found = "**Unchanged.** Code, data and parameters are those of this version: no stage ran."
        return [found, "", _judged_before(client, version, registered)]
    if registered.is_new:
        return [_judged(registered, decision)]
    earlier = "An earlier try registered this version and was interrupted; the gate judged it just now."
    return [_judged(registered, decision), "", earlier]


def _judged(registered: Registered, decision: Decision) -> str:
    if not decision.passed:
        lead = "**Rejected.**"
        if decision.verdict == "inconclusive":
            lead = "**Inconclusive.** Its test images do not decide."
        return f"{lead} The version and its run are kept{_without_alias(registered)}"
    if versions.CHAMPION not in registered.aliases:
        return (
            "**Accepted.** It is in use once a person makes it `champion`: open it in MLflow and set the "
            "alias with the pencil beside *Aliases*."
        )
    if decision.champion is None:
        return "**Champion.** No other version was champion, so it is in use from now on."
    return "**Champion.** It has the alias already, so it is in use."


def _without_alias(registered: Registered) -> str:
    if registered.aliases:  # set by hand, or by a try that was interrupted and judged otherwise
        return f". Aliases now: {_named(registered)}."
    return ", without an alias: nothing uses them."


def _judged_before(client: MlflowClient, version: ModelVersion, registered: Registered) -> str:
    """When the gate judged it and beside which champion, since both may have changed; and its aliases now."""
    times = [each.timestamp for each in client.get_metric_history(str(version.run_id), JUDGED)]
    when = f"on {datetime.fromtimestamp(max(times) / 1000, UTC):%Y-%m-%d %H:%M} UTC" if times else "earlier"
    rival = version.tags.get("compared_with", "none")
    champion = "no other version was champion" if rival == "none" else f"it was compared with version {rival}"
    return f"The verdict above was given {when}, when {champion}. Aliases now: {_named(registered)}."


def _named(registered: Registered) -> str:
    return ", ".join(f"`{alias}`" for alias in registered.aliases) or "none"


def links(name: str, number: str) -> list[str]:
    """Lines of Markdown that lead to a version."""
    client = tracking.connect()
    with tracking.translated("look up the version"):
        return _links(client, client.get_model_version(name, number))


def _champion(client: MlflowClient, name: str) -> ModelVersion | None:
    number = versions.champion(client, name)
    return None if number is None else client.get_model_version(name, number)


def _metrics(client: MlflowClient, version: ModelVersion, champion: ModelVersion | None) -> list[str]:
    """A table that a telephone shows whole: an interval stands below its figure."""
    runs = {f"version {version.version}": client.get_run(str(version.run_id)).data}
    if champion is None:
        note = "There is no champion to compare with."
    elif str(champion.version) == str(version.version):
        note = "This version is the champion."
    else:
        note = f"The champion is version {champion.version}; its figures are of its own test images."
        runs[f"champion {champion.version}"] = client.get_run(str(champion.run_id)).data
    levels = {data.params.get(LEVEL) for data in runs.values()}
    if len(levels) == 1 and (level := levels.pop()) is not None:
        note += f" Intervals are of {share(float(level))} confidence."
    shown = {title: data.metrics for title, data in runs.items()}
    lines = [note, "", f"| test | {' | '.join(shown)} |", "|---" * (len(shown) + 1) + "|"]
    for key in SHOWN:
        lines.append(f"| {_words(key)} | {' | '.join(_figure(own, key) for own in shown.values())} |")
        if any(f"test/{key}_low" in own for own in shown.values()):
            lines.append(f"| *interval* | {' | '.join(_interval(own, key) for own in shown.values())} |")
    return lines


def _figure(metrics: dict[str, float], key: str) -> str:
    value = metrics.get(f"test/{key}")
    return "not defined" if value is None else f"{value:.3f}"


def _interval(metrics: dict[str, float], key: str) -> str:
    low, high = metrics.get(f"test/{key}_low"), metrics.get(f"test/{key}_high")
    return "" if low is None or high is None else f"{low:.3f}\u2013{high:.3f}"


def _words(key: str) -> str:
    return "balanced" if key == "balanced_accuracy" else key.replace("_", " ")  # columns must fit a telephone


def _data(client: MlflowClient, version: ModelVersion) -> list[str]:
    inputs = client.get_run(str(version.run_id)).inputs
    profile = inputs.dataset_inputs[0].dataset.profile if inputs and inputs.dataset_inputs else None
    if profile is None:
        return []
    counts: dict[str, dict[str, int]] = json.loads(profile)
    splits = list(dict.fromkeys(split for own in counts.values() for split in own))
    lines = [f"| images | {' | '.join(splits)} |", "|---" * (len(splits) + 1) + "|"]
    for name, own in sorted(counts.items()):
        lines.append(f"| {cell(name)} | {' | '.join(str(own.get(split, 0)) for split in splits)} |")
    return lines


def _links(client: MlflowClient, version: ModelVersion) -> list[str]:
    """Links to MLflow's pages if it is a server, and the commands to go further."""
    uri = f"models:/{version.name}/{version.version}"
    commands = [f"- What made it: `headstart lineage {uri}`", f"- Make it again: `headstart reproduce {uri}`"]
    if not tracking.is_shared():
        return commands
    run = client.get_run(str(version.run_id)).info
    page = tracking.page(f"experiments/{run.experiment_id}/runs/{run.run_id}")
    files = {file.path for file in client.list_artifacts(run.run_id, "reports/data_docs")}
    validation = [
        f"[{words}]({page}/artifacts/reports/data_docs/{name}.html)"
        for name, words in PAGES.items()
        if f"reports/data_docs/{name}.html" in files
    ]
    against = {file.path for file in client.list_artifacts(run.run_id, "gate")}
    compared = [f"- [Beside the champion]({page}/artifacts/{comparison.PAGE})"]
    return [
        f"- [Version {version.version} in MLflow]({page_of(version.name, str(version.version))})",
        f"- [Its run]({page})",
        f"- [Report]({page}/artifacts/reports/report.html)",
        *(compared if comparison.PAGE in against else []),
        f"- [The data]({page}/artifacts/reports/data.html): pictures and labels to look at",
        f"- Validation: {', '.join([*validation, f'[result]({page}/artifacts/reports/validation.json)'])}",
        *commands,
    ]
