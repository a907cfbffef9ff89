"""Stage features: the frozen part of the network, run once per distinct image."""

from typing import Any

import pandas as pd

from headstart.errors import ModelError
from headstart.ground import paths, runtime
from headstart.ground.files import replacing, write_json
from headstart.ground.reading import load_table, reading
from headstart.pipeline.features import compute as computation
from headstart.pipeline.features.examples import rows_of
from headstart.pipeline.features.feature_file import TENSOR, Views
from headstart.pipeline.features.frozen import frozen_prefix
from headstart.pipeline.features.settings import Features
from headstart.pipeline.features.size import check_size
from headstart.pipeline.network import checkpoint
from headstart.pipeline.network.assembly import check_backbone
from headstart.pipeline.network.network import Network, NetworkSpec, network_spec, plan
from headstart.pipeline.network.settings import Backbone, Model
from headstart.pipeline.pixels import transforms
from headstart.pipeline.pixels.packed import NEEDED, PackedImages
from headstart.pipeline.pixels.settings import Preprocess
from headstart.pipeline.store.store import open_rows
from headstart.progress import bar


def run(backbone: Backbone, preprocess: Preprocess, model: Model, features: Features) -> str:
    """Write `artifacts/features.safetensors`: activations at the cut, one row per image, followed by
    the extra views of training images.

    If the cut is the input, nothing is computed or copied: the file refers to the images.
    """
    table = load_table(paths.IMAGE_TABLE, ["label", "split", "pixels", *NEEDED])
    with reading(paths.IMAGE_TABLE):
        limits = table.attrs["limits"]
    spec = network_spec(backbone, model, tuple(sorted(table["label"].unique())))
    network = plan(spec)
    dtype = runtime.dtype_of(features.precision, "features.precision")
    views = _views(table, spec.classes, features)
    count = len(table) + (views.count - 1) * views.rows
    check_size(network, count, features.precision, features.max_gb)
    frozen = checkpoint.metadata(paths.BACKBONE, checkpoint.BACKBONE)
    _check_backbone(frozen, spec)
    check_backbone(network, frozen)
    metadata = {
        **spec.to_dict(),
        "cut": network.cut_name,
        "precision": features.precision,
        "batch_size": features.batch_size,
        "transform": preprocess.weights,
        "limits": limits,
        "views": views.to_dict() if views.count > 1 else None,
        "backbone": frozen,
    }
    environment = runtime.environment(features.precision, paths.LOCK)
    write_json(paths.ENVIRONMENTS / "features.json", environment.to_dict())
    if not network.cut:
        checkpoint.save(paths.FEATURES, {}, metadata)
        return f"everything is trained, so the cut is the input: {len(table)} images are read as they are"
    forward = _forward(network, spec, features, preprocess.weights)
    images = computation.ViewedImages(PackedImages(table), table["pixels"].tolist(), views)
    recipe = computation.features_recipe(network, frozen["digest"], forward)
    with (
        open_rows() as store,
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
    shown += f" after {network.cut_name}, {features.precision}"
    return f"{shown}; {computed} images went through the network now"


def _views(table: pd.DataFrame, classes: tuple[str, ...], features: Features) -> Views:
    train = rows_of(table, "train", classes).indices
    return Views(features.views, train.start, len(train), len(table), features.seed)


def _check_backbone(backbone: dict[str, Any], spec: NetworkSpec) -> None:
    if (backbone["arch"], backbone["width"]) != (spec.arch, spec.width):
        raise ModelError(
            f"{paths.BACKBONE} holds {backbone['arch']} of width {backbone['width']}, expected "
            f"{spec.arch} of width {spec.width}; run the backbone stage"
        )


def _forward(network: Network, spec: NetworkSpec, features: Features, weights: str) -> computation.Forward:
    prefix = frozen_prefix(network, paths.BACKBONE)
    transform = transforms.transform_of(spec.arch, weights)
    runtime.make_deterministic(0)
    return computation.Forward(prefix, transform, features.precision, features.batch_size)
