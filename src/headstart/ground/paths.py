"""The pipeline's files, relative to the project's root, as in dvc.yaml; and the cache folder."""

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent  # the running code

DATA = Path("data")
LOCK = Path("requirements.lock")
CODE_LOCK = Path("headstart.lock.yaml")  # of a project without the code itself: what each of its stages runs
PARAMS = Path("params.yaml")

BACKBONE = Path("artifacts/backbone.safetensors")
MANIFEST = Path("artifacts/manifest.parquet")
IMAGE_TABLE = Path("artifacts/images.parquet")
FEATURES = Path("artifacts/features.safetensors")
INIT = Path("artifacts/init.safetensors")
HEAD = Path("artifacts/head.safetensors")
PREDICTIONS = Path("artifacts/predictions.parquet")
FINDINGS = Path("artifacts/findings.parquet")
ENVIRONMENTS = Path("artifacts/environment")

VALIDATION = Path("reports/validation.json")
NEAR_DUPLICATES = Path("reports/near_duplicates.html")
HISTORY = Path("reports/history.csv")
TRIALS = Path("reports/trials.csv")
METRICS = Path("reports/metrics.json")
INTERVALS = Path("reports/intervals.json")
CLASSES = Path("reports/classes.csv")
CONFUSION = Path("reports/confusion.csv")
ROC = Path("reports/roc.csv")
REPORT = Path("reports/report.html")
MONITORING = Path("reports/monitoring.html")
TREND = Path("reports/trend.html")
FEEDBACK = Path("reports/feedback.html")
DATA_REPORT = Path("reports/data.html")
DATA_FIGURES = Path("reports/data.json")
DATA_DOCS = Path("reports/data_docs")


def cache_folder() -> Path:
    """`HEADSTART_CACHE`, else `headstart` in the user's cache folder. It may be deleted at any time."""
    if named := os.environ.get("HEADSTART_CACHE"):
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "headstart"
