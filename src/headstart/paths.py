"""Where the pipeline's files live, relative to the root of the tree; dvc.yaml names the same ones."""

from pathlib import Path

DATA = Path("data")
LOCK = Path("requirements.lock")
PARAMS = Path("params.yaml")

BACKBONE = Path("artifacts/backbone.safetensors")
MANIFEST = Path("artifacts/manifest.parquet")
IMAGES = Path("artifacts/images.npy")
IMAGE_TABLE = Path("artifacts/images.parquet")
FEATURES = Path("artifacts/features.safetensors")
INIT = Path("artifacts/init.safetensors")
HEAD = Path("artifacts/head.safetensors")
PREDICTIONS = Path("artifacts/predictions.parquet")
ENVIRONMENTS = Path("artifacts/environment")

VALIDATION = Path("reports/validation.json")
HISTORY = Path("reports/history.csv")
TRIALS = Path("reports/trials.csv")
METRICS = Path("reports/metrics.json")
CONFUSION = Path("reports/confusion.csv")
ROC = Path("reports/roc.csv")
REPORT = Path("reports/report.html")
MONITORING = Path("reports/monitoring.html")
DATA_DOCS = Path("reports/data_docs")
