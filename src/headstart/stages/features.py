"""Stage features: the frozen part of the network, once for each distinct image."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from headstart import paths, runtime
from headstart.data import pixels
from headstart.data.packed import PackedImages
from headstart.errors import ModelError
from headstart.files import replacing, write_json
from headstart.model import checkpoint
from headstart.model import features as computation
from headstart.model.assembly import frozen_prefix
from headstart.model.feature_file import TENSOR
from headstart.model.network import Network, NetworkSpec, plan
from headstart.progress import bar
from headstart.rows import recipe_digest
from headstart.store import Store, default_folder


@dataclass(frozen=True)
class Options:
    """Section `features` of params.yaml, and the weights whose transform makes the pixels."""

    precision: runtime.Precision
    batch_size: int
    max_gb: float
    transform_weights: str


def run(arch: str, width: int, head: str, options: Options) -> str:
    """Write `artifacts/features.safetensors`: activations at the cut, a row an image."""
    table = pd.read_parquet(paths.IMAGE_TABLE, columns=["label", "pixels"])
    classes = tuple(sorted(table["label"].unique()))
    spec = NetworkSpec(arch=arch, width=width, head=head, classes=classes)
    network = plan(spec)
    dtype = runtime.dtype_of(options.precision)
    computation.check_size(network, len(table), options.precision, options.max_gb)
    backbone = checkpoint.metadata(paths.BACKBONE)
    forward = _forward(network, spec, options)
    metadata = {
        "arch": arch,
        "width": width,
        "head": head,
        "classes": classes,
        "cut": network.cut_name,
        "precision": options.precision,
        "batch_size": options.batch_size,
        "transform": options.transform_weights,
        "backbone": backbone,
    }
    images = PackedImages(paths.IMAGES)
    sources = [Path(computation.__file__), Path(pixels.__file__)]
    recipe = recipe_digest(computation.features_recipe(network, backbone["digest"], forward), sources)
    with (
        Store(default_folder()) as store,
        bar(len(table), "features") as progress,
        replacing(paths.FEATURES) as new,
        new.open("wb") as file,
    ):
        shape = (len(table), *network.feature_shape)
        writer = checkpoint.RowWriter(file, TENSOR, shape, dtype, metadata)
        computed = computation.write_features(
            forward, images, table["pixels"].tolist(), store, recipe, writer, progress.update
        )
    environment = runtime.environment(options.precision, paths.LOCK)
    write_json(paths.ENVIRONMENTS / "features.json", environment.to_dict())
    return (
        f"{len(table)} x {network.feature_shape} after {network.cut_name}, {options.precision}; "
        f"{computed} images went through the network now"
    )


def _forward(network: Network, spec: NetworkSpec, options: Options) -> computation.Forward:
    backbone = checkpoint.metadata(paths.BACKBONE)
    if (backbone["arch"], backbone["width"]) != (spec.arch, spec.width):
        raise ModelError(
            f"{paths.BACKBONE} holds {backbone['arch']} of width {backbone['width']}, expected "
            f"{spec.arch} of width {spec.width}; run the backbone stage"
        )
    prefix = frozen_prefix(network, paths.BACKBONE)
    transform = pixels.transform_of(spec.arch, options.transform_weights)
    runtime.make_deterministic(0)
    return computation.Forward(prefix, transform, options.precision, options.batch_size).prepared()
