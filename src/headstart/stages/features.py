"""Stage features: the frozen part of the network, once for each distinct image."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from headstart import paths, runtime
from headstart.cache import default_folder
from headstart.data import pixels
from headstart.data import views as data_views
from headstart.data.packed import PackedImages
from headstart.errors import ModelError
from headstart.files import replacing, write_json
from headstart.model import checkpoint, frozen
from headstart.model import features as computation
from headstart.model.assembly import frozen_prefix
from headstart.model.examples import rows_of
from headstart.model.feature_file import TENSOR, Views
from headstart.model.network import Network, NetworkSpec, plan
from headstart.progress import bar
from headstart.rows import recipe_digest
from headstart.store import Store


@dataclass(frozen=True)
class Options:
    """Section `features` of params.yaml, and the weights whose transform makes the pixels."""

    precision: runtime.Precision
    batch_size: int
    max_gb: float
    views: int
    seed: int
    transform_weights: str


def run(arch: str, width: int, model: dict[str, Any], options: Options) -> str:
    """Write `artifacts/features.safetensors`: activations at the cut, a row an image, then its further views.

    Where the cut is the input nothing is computed or copied: the file refers to the images.

    Args:
        model: section `model` of params.yaml.
    """
    table = pd.read_parquet(paths.IMAGE_TABLE, columns=["label", "split", "pixels"])
    spec = NetworkSpec(arch=arch, width=width, classes=tuple(sorted(table["label"].unique())), **model)
    network = plan(spec)
    dtype = runtime.dtype_of(options.precision, "features.precision")
    views = _views(table, spec.classes, options)
    count = len(table) + (views.count - 1) * views.rows
    computation.check_size(network, count, options.precision, options.max_gb)
    backbone = checkpoint.metadata(paths.BACKBONE)
    _check_backbone(backbone, spec)
    metadata = {
        **spec.to_dict(),
        "cut": network.cut_name,
        "precision": options.precision,
        "batch_size": options.batch_size,
        "transform": options.transform_weights,
        "views": views.to_dict() if views.count > 1 else None,
        "backbone": backbone,
    }
    environment = runtime.environment(options.precision, paths.LOCK)
    write_json(paths.ENVIRONMENTS / "features.json", environment.to_dict())
    if not network.cut:
        checkpoint.save(paths.FEATURES, {}, metadata)
        return (
            f"everything is trained, so that the cut is the input: {len(table)} images are read as they are"
        )
    forward = _forward(network, spec, options)
    images = computation.ViewedImages(PackedImages(paths.IMAGES), table["pixels"].tolist(), views)
    sources = [Path(module.__file__ or "") for module in (computation, frozen, pixels, data_views)]
    recipe = recipe_digest(computation.features_recipe(network, backbone["digest"], forward), sources)
    with (
        Store(default_folder()) as store,
        bar(count, "features") as progress,
        replacing(paths.FEATURES) as new,
        new.open("wb") as file,
    ):
        writer = checkpoint.RowWriter(file, TENSOR, (count, *network.feature_shape), dtype, metadata)
        computed = computation.write_features(
            forward.prepared(), images, images.keys, store, recipe, writer, progress.update
        )
    shown = f"{len(table)} x {network.feature_shape}"
    if views.count > 1:
        shown += f", {views.count} views of each of {views.rows} training images,"
    shown += f" after {network.cut_name}, {options.precision}"
    return f"{shown}; {computed} images went through the network now"


def _views(table: pd.DataFrame, classes: tuple[str, ...], options: Options) -> Views:
    train = rows_of(table, "train", classes).indices
    return Views(options.views, train.start, len(train), len(table), options.seed)


def _check_backbone(backbone: dict[str, Any], spec: NetworkSpec) -> None:
    if (backbone["arch"], backbone["width"]) != (spec.arch, spec.width):
        raise ModelError(
            f"{paths.BACKBONE} holds {backbone['arch']} of width {backbone['width']}, expected "
            f"{spec.arch} of width {spec.width}; run the backbone stage"
        )


def _forward(network: Network, spec: NetworkSpec, options: Options) -> computation.Forward:
    prefix = frozen_prefix(network, paths.BACKBONE)
    transform = pixels.transform_of(spec.arch, options.transform_weights)
    runtime.make_deterministic(0)
    return computation.Forward(prefix, transform, options.precision, options.batch_size)
