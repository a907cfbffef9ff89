"""Settings that depend on the number of images or on their classes, checked before images are decoded.

The stages that use these settings check them too: by then every image may have been decoded twice.
"""

import math
from collections.abc import Sequence
from pathlib import Path

from headstart.ground import paths
from headstart.params import Params
from headstart.pipeline.data.dataset import read_dataset
from headstart.pipeline.data.layout import Found
from headstart.pipeline.evaluation.costs import costs_of
from headstart.pipeline.features.size import check_size
from headstart.pipeline.network.class_names import check_names
from headstart.pipeline.network.network import network_spec, plan

LEAST_DRAWN = 0.9  # of the share of training images that split.train asks for: a hash decides


def check_folder(params: Params, data: Path) -> None:
    """Check the settings by the names of the files in a data folder; without the folder, check nothing.

    The features are counted as few as they can become, so that nothing is refused wrongly.

    Raises:
        ParamsError: the features would be too large, or a setting names a class that does not exist.
        DataError: the folder or its table of labels cannot be read.
    """
    if data.is_dir():
        images = read_dataset(data, params.data).images
        _check(params, tuple(sorted({image.label for image in images} - {""})), _least_rows(params, images))


def check_manifest(params: Params) -> None:
    """Check the settings by the rows of `artifacts/manifest.parquet`; without the file, check nothing.

    Raises:
        ParamsError: as `check_folder` does.
    """
    if paths.MANIFEST.exists():
        from headstart.pipeline.data.manifest import read_manifest  # pandas

        rows = read_manifest(paths.MANIFEST)
        views = (params.features.views - 1) * int((rows["split"] == "train").sum())
        _check(params, tuple(sorted(rows["label"].unique())), len(rows) + views)


def _check(params: Params, classes: tuple[str, ...], rows: int) -> None:
    if len(classes) < 2:  # the stage validate says so
        return
    check_names("train.class_weights", _weighted(params), classes)
    costs_of(params.evaluate.costs, classes)
    network = plan(network_spec(params.backbone, params.model, classes))
    check_size(network, rows, params.features.precision, params.features.max_gb)


def _weighted(params: Params) -> list[str]:
    weights = params.train.class_weights
    return list(weights) if isinstance(weights, dict) else []


def _least_rows(params: Params, images: Sequence[Found]) -> int:
    """The fewest rows of features that a valid set has: its images, and views of them if a hash splits it."""
    kept = math.ceil(len(images) * (1 - params.validate_.max_excluded))
    is_drawn = params.split.group is None and not any(image.split for image in images)
    learned = math.floor(kept * params.split.train * LEAST_DRAWN) if is_drawn else 0
    return kept + (params.features.views - 1) * learned
