"""Open the rows that the trained part reads: stored activations, or the images if the cut is the input."""

from pathlib import Path
from typing import TYPE_CHECKING

from headstart.pipeline.features.feature_file import Features, Rows, features_metadata
from headstart.pipeline.network.network import INPUT

if TYPE_CHECKING:
    import pandas as pd


def open_rows(features: Path, table: "pd.DataFrame") -> Rows:
    """The rows that a features file holds or refers to.

    Args:
        table: `artifacts/images.parquet`, of which the packed images are read if the cut is the input.

    Raises:
        ModelError: a file is missing or damaged.
    """
    metadata = features_metadata(features)
    if metadata["cut"] != INPUT:
        return Features(features)
    # torchvision takes 3.5 s to import, and only this case needs it
    from headstart.pipeline.features.image_rows import ImageRows
    from headstart.pipeline.pixels.packed import PackedImages
    from headstart.pipeline.pixels.transforms import transform_of

    transform = transform_of(metadata["arch"], metadata["transform"])
    views = metadata["views"] or {"count": 1, "seed": 0}
    return ImageRows(PackedImages(table), transform, table["pixels"].tolist(), views["count"], views["seed"])
