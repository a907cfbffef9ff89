"""A registered version against the champion, as Markdown for the page of the flow run that made it."""

import json

from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient

from headstart.registry import tracking, versions

SHOWN = ("accuracy", "balanced_accuracy", "macro_f1", "roc_auc", "log_loss")


def as_markdown(name: str, number: str) -> str:
    """Metrics of the version and of the champion, images a class, and links to MLflow's pages.

    The champion's figures are those of its own test images.
    """
    client = tracking.connect()
    with tracking.translated("look up the version"):
        version = client.get_model_version(name, number)
        champion = _champion(client, name)
        lines = [f"## {name} version {number}", "", (version.description or "").split("\n")[0], ""]
        lines += _metrics(client, version, champion)
        lines += ["", *_data(client, version), "", *_links(client, version)]
    return "\n".join(lines) + "\n"


def page_of(name: str, number: str) -> str:
    """The address of a version's page; what `headstart lineage` takes where there is no server."""
    if not tracking.is_shared():
        return f"models:/{name}/{number}"
    tracking.connect()
    return f"{tracking.server_name().rstrip('/')}/#/models/{name}/versions/{number}"


def links(name: str, number: str) -> list[str]:
    """Lines of Markdown that lead to a version."""
    client = tracking.connect()
    with tracking.translated("look up the version"):
        return _links(client, client.get_model_version(name, number))


def _champion(client: MlflowClient, name: str) -> ModelVersion | None:
    number = client.get_registered_model(name).aliases.get(versions.CHAMPION)
    return None if number is None else client.get_model_version(name, str(number))


def _metrics(client: MlflowClient, version: ModelVersion, champion: ModelVersion | None) -> list[str]:
    own = client.get_run(str(version.run_id)).data.metrics
    is_champion = champion is None or str(champion.version) == str(version.version)
    if champion is None or is_champion:
        lines = ["| test metric | this version, which is the champion |", "|---|---|"]
        return [*lines, *(f"| {_words(key)} | {_figure(own, key)} |" for key in SHOWN)]
    theirs = client.get_run(str(champion.run_id)).data.metrics
    lines = [f"| test metric | this version | champion, version {champion.version} |", "|---|---|---|"]
    return [*lines, *(f"| {_words(key)} | {_figure(own, key)} | {_figure(theirs, key)} |" for key in SHOWN)]


def _figure(metrics: dict[str, float], key: str) -> str:
    value = metrics.get(f"test/{key}")
    if value is None:
        return "not defined"
    low, high = metrics.get(f"test/{key}_low"), metrics.get(f"test/{key}_high")
    return f"{value:.4f}" + ("" if low is None or high is None else f" ({low:.4f} to {high:.4f})")


def _words(key: str) -> str:
    return key.replace("_", " ")


def _data(client: MlflowClient, version: ModelVersion) -> list[str]:
    inputs = client.get_run(str(version.run_id)).inputs
    profile = inputs.dataset_inputs[0].dataset.profile if inputs and inputs.dataset_inputs else None
    if profile is None:
        return []
    counts: dict[str, dict[str, int]] = json.loads(profile)
    splits = list(dict.fromkeys(split for own in counts.values() for split in own))
    lines = [f"| images | {' | '.join(splits)} |", "|---" * (len(splits) + 1) + "|"]
    for name, own in sorted(counts.items()):
        lines.append(f"| {name} | {' | '.join(str(own.get(split, 0)) for split in splits)} |")
    return lines


def _links(client: MlflowClient, version: ModelVersion) -> list[str]:
    """To MLflow's pages where it is a server; the commands that say more, everywhere."""
    uri = f"models:/{version.name}/{version.version}"
    commands = [f"- What made it: `headstart lineage {uri}`", f"- Make it again: `headstart reproduce {uri}`"]
    if not tracking.is_shared():
        return commands
    run = client.get_run(str(version.run_id)).info
    base = tracking.server_name().rstrip("/")
    page = f"{base}/#/experiments/{run.experiment_id}/runs/{run.run_id}"
    return [
        f"- [Version {version.version} in MLflow]({page_of(version.name, str(version.version))})",
        f"- [Its run]({page}), [report]({page}/artifacts/reports/report.html), "
        f"[validation result]({page}/artifacts/reports/validation.json)",
        *commands,
    ]
