"""A registered version against the champion, as Markdown for the page of the flow run that made it."""

import json

from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient

from headstart.errors import DamagedFile
from headstart.ground import paths
from headstart.ground.markdown import cell
from headstart.versions.provenance import comparison
from headstart.versions.registry import tracking, versions
from headstart.versions.registry.versions import Registered
from headstart.versions.release import mistakes

SHOWN = ("accuracy", "balanced_accuracy", "macro_f1", "roc_auc", "log_loss")
TITLES = {"passed": "Passed", "failed": "Did not pass", "inconclusive": "Inconclusive"}
PAGES = {"index": "summary", "files": "each file", "set": "the whole set"}  # of validation


def as_markdown(registered: Registered, data: str, is_unchanged: bool, *, with_pictures: bool = True) -> str:
    """Outcome of a flow run: the verdict, metrics beside the champion's, mistakes, images per class, links.

    The champion's figures are those of its own test images. The mistakes are those of the results in the
    tree, which must be the version's.

    Args:
        data: the images taken from `data.source`, in words.
        is_unchanged: no stage ran, since the version holds the same results.
        with_pictures: of the mistakes; without them their names and labels are listed.
    """
    name, number = registered.name, registered.version
    client = tracking.connect()
    with tracking.translated("look up the version"):
        version = client.get_model_version(name, number)
        champion = _champion(client, name)
        verdict = version.tags.get(versions.GATE_TAG, "")
        lines = [f"## {TITLES.get(verdict, 'Not judged')}: {name} version {number}", ""]
        lines += [(version.description or "").split("\n")[0], ""]
        lines += [_outcome(registered, verdict, is_unchanged), ""]
        lines += _metrics(client, version, champion)
        lines += ["", *_mistakes(with_pictures), ""]
        lines += [f"Data: {data}", "", *_data(client, version), "", *_links(client, version)]
    return "\n".join(lines) + "\n"


def _mistakes(with_pictures: bool) -> list[str]:
    try:
        return mistakes.as_markdown(with_pictures)
    except (DamagedFile, KeyError) as error:  # the version stands all the same
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


def _outcome(registered: Registered, verdict: str, is_unchanged: bool) -> str:
    if is_unchanged:
        return "**Unchanged.** Code, data and parameters are those of this version: no stage ran."
    if not registered.is_new:
        return "**Registered before.** The results are those of this version: nothing was registered again."
    if verdict == "inconclusive":
        return (
            "**Inconclusive.** Its test images do not decide. The version and its run are kept, without an "
            "alias: nothing uses them."
        )
    if verdict != "passed":
        return "**Rejected.** The version and its run are kept, without an alias: nothing uses them."
    if versions.CHAMPION in registered.aliases:
        return "**Champion.** It is the first one that was accepted, so it is in use from now on."
    return (
        "**Accepted.** It is in use once a person makes it `champion`: open it in MLflow and set the alias "
        "with the pencil beside *Aliases*."
    )


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
    shown = {f"version {version.version}": client.get_run(str(version.run_id)).data.metrics}
    if champion is None:
        note = "There is no champion to compare with."
    elif str(champion.version) == str(version.version):
        note = "This version is the champion."
    else:
        note = f"The champion is version {champion.version}; its figures are of its own test images."
        shown[f"champion {champion.version}"] = client.get_run(str(champion.run_id)).data.metrics
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
