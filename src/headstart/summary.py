"""What the last run gave, and the commands that show more: the end of `make demo`."""

import json

from headstart import paths
from headstart.errors import HeadstartError, TrackingError
from headstart.params import load_params
from headstart.registry import versions


def summary() -> str:
    """Test metrics, the registered version with its aliases, and where to look next.

    Raises:
        HeadstartError: nothing was evaluated yet.
    """
    if not paths.METRICS.exists():
        raise HeadstartError(f"there is no {paths.METRICS}; run `dvc repro` or `headstart run` first")
    metrics = json.loads(paths.METRICS.read_text(encoding="utf-8"))
    params = load_params(paths.PARAMS)
    bounds = metrics["intervals"]["accuracy"]
    lines = [
        "",
        f"Test images        {metrics['images']}",
        f"Accuracy           {metrics['accuracy']:.4f}   "
        f"({params.evaluate.confidence:.0%} interval {bounds['low']:.4f} to {bounds['high']:.4f})",
        f"Balanced accuracy  {metrics['balanced_accuracy']:.4f}",
        f"ROC AUC            {_figure(metrics['roc_auc'])}",
        f"Log loss           {metrics['log_loss']:.4f}",
        f"Backbone weights   {_backbone()}",
        f"Registered         {_registered(params.register_.model)}",
        "",
        "MLflow             make ui       then http://127.0.0.1:5000",
        f"Validation pages   {paths.DATA_DOCS}/index.html",
        f"Report             {paths.REPORT}",
        "Serve the model    make serve    then the request that README shows",
    ]
    return "\n".join(lines)


def _figure(value: float | None) -> str:
    return "not defined: a class has no test image" if value is None else f"{value:.4f}"


def _backbone() -> str:
    from headstart.model import checkpoint

    backbone = checkpoint.metadata(paths.BACKBONE)
    note = ", never trained: set backbone.weights: IMAGENET1K_V1" if backbone["random"] else ""
    return f"{backbone['source']}{note}"


def _registered(name: str) -> str:
    try:
        found = versions.registered(name)
    except TrackingError as error:
        return f"unknown: {error}"
    if found is None:
        return "not yet: run `headstart register`"
    return f"models:/{name}/{found.version} ({', '.join(found.aliases) or 'no alias'})"
