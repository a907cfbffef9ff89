"""Open the rows that the trained part reads: stored activations, or the images if the cut is the input."""

from collections.abc import Sequence
from pathlib import Path

from headstart.pipeline.features.feature_file import Features, Rows, features_metadata
from headstart.pipeline.network.network import INPUT


def open_rows(features: Path, images: Path, keys: Sequence[str]) -> Rows:
    """The rows that a features file holds or refers to.

    Args:
        images: the packed images, read only if the cut is the input.
        keys: digest of each image.

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
    return ImageRows(PackedImages(images), transform, keys, views["count"], views["seed"])
