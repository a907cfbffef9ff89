"""The last results, and the commands that show more: the end of `make demo`."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path

from headstart.cli.entering import report_defaults
from headstart.errors import HeadstartError, TrackingError, without_password
from headstart.ground import paths
from headstart.params import load_params
from headstart.pipeline.evaluation.figures import read_headline

SERVER_SETTINGS = Path("mlflow/server.env")


@dataclass(frozen=True)
class Standing:
    """The state of the results in MLflow.

    Attributes:
        version: `models:/NAME/VERSION`; None if they are not registered.
        verdict: first line of the gate's verdict; None before it has judged.
        has_champion: whether any version can be served.
        problem: why MLflow cannot be queried.
    """

    version: str | None = None
    aliases: tuple[str, ...] = ()
    verdict: str | None = None
    passed: bool = False
    has_champion: bool = False
    problem: str | None = None


@dataclass(frozen=True)
class Results:
    """Test metrics of the last evaluation, and their standing."""

    metrics: dict[str, object]
    confidence: float
    backbone: str
    standing: Standing

    def as_dict(self) -> dict[str, object]:
        """The results as JSON data."""
        return {
            "metrics": self.metrics,
            "backbone": self.backbone,
            **asdict(self.standing),
            "mlflow": _server(),
            "report": str(paths.REPORT),
        }

    def as_text(self) -> str:
        """The results as text: figures, the version, and where to look next."""
        bounds = self.metrics["intervals"]["accuracy"]  # type: ignore[index]
        auc = self.metrics["roc_auc"]
        lines = [
            "",
            f"Test images        {self.metrics['images']}",
            f"Accuracy           {self.metrics['accuracy']:.4f}   "
            f"({100 * self.confidence:g}% interval {bounds['low']:.4f} to {bounds['high']:.4f})",
            f"Balanced accuracy  {self.metrics['balanced_accuracy']:.4f}",
            f"ROC AUC            {'not defined: a class has no test image' if auc is None else f'{auc:.4f}'}",
            f"Log loss           {self.metrics['log_loss']:.4f}",
            f"Backbone weights   {self.backbone}",
            *_registered(self.standing),
            "",
            f"MLflow             {_server() or f'make ui       then http://{_own_address()}'}",
            f"Validation pages   {_pages()}",
            f"The data           {paths.DATA_REPORT}",
            f"Report             {paths.REPORT}",
        ]
        if self.standing.has_champion:
            lines.append("Serve the model    make serve    then the request in docs/serving.md")
        return "\n".join(lines)


def last_results() -> Results:
    """The last evaluation, and the state of its results in MLflow.

    Raises:
        HeadstartError: nothing has been evaluated yet.
    """
    if not paths.METRICS.exists():
        raise HeadstartError(f"there is no {paths.METRICS}; run `dvc repro` or `headstart run` first")
    params = load_params(paths.PARAMS)
    report_defaults(params)
    return Results(
        metrics=read_headline(),
        confidence=params.evaluate.confidence,
        backbone=_backbone(),
        standing=_standing(params.register_.model),
    )


def _backbone() -> str:
    from headstart.pipeline.network import checkpoint

    backbone = checkpoint.metadata(paths.BACKBONE, checkpoint.BACKBONE)
    note = ", never trained: set backbone.weights: IMAGENET1K_V1" if backbone["random"] else ""
    return f"{backbone['source']}{note}"


def _standing(name: str) -> Standing:
    from headstart import repository
    from headstart.versions.registry import tracking, versions

    try:
        client = tracking.connect()
        with tracking.translated("look up the version"):
            found = versions.find(client, name, repository.lock_digest())
            if found is None:
                return Standing(has_champion=versions.any_champion(client, name))
            gate = found.tags.get("gate")
            return Standing(
                version=f"models:/{name}/{found.version}",
                aliases=versions.aliases_of(client, name, found),
                verdict=None if gate in (None, "pending") else (found.description or gate).splitlines()[0],
                passed=gate == "passed",
                has_champion=versions.any_champion(client, name),
            )
    except TrackingError as error:
        return Standing(problem=str(error))


def _registered(standing: Standing) -> list[str]:
    if standing.problem:
        return [f"Registered         unknown: {standing.problem}"]
    if standing.version is None:
        return ["Registered         not yet: run `headstart register`"]
    lines = [f"Registered         {standing.version} ({', '.join(standing.aliases) or 'no alias'})"]
    if standing.verdict is None:
        return [*lines, "Gate               not judged yet: run `headstart register`"]
    lines.append(f"Gate               {standing.verdict}")
    if not standing.passed:
        lines += [
            f"Next               `headstart gate {standing.version}` lists every check; train again, or",
            "                   change what the gate asks for (sections register and gate of params.yaml)",
        ]
    return lines


def _server() -> str | None:
    """Address of the tracking server in use, if one is named; without its password."""
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    return without_password(uri) if uri.startswith("http") else None


def _own_address() -> str:
    """Address of `make ui`, from the environment or else mlflow/server.env."""
    settings = {}
    if SERVER_SETTINGS.exists():
        lines = SERVER_SETTINGS.read_text(encoding="utf-8").splitlines()
        settings = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    host, port = (os.environ.get(name, settings.get(name, "")) for name in ("HOST", "PORT"))
    return f"{host or '127.0.0.1'}:{port or '5000'}"


def _pages() -> str:
    index = paths.DATA_DOCS / "index.html"
    return str(index) if index.exists() else "not rendered yet: `headstart docs`"
