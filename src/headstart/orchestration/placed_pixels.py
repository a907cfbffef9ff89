"""Bring the image files to a worker that packs images again: packed images are a cache of each host."""

from headstart.ground import paths
from headstart.ground.reading import load_table
from headstart.pipeline.features.feature_file import features_metadata
from headstart.pipeline.network.network import INPUT
from headstart.pipeline.pixels.packed import NEEDED, PackedImages
from headstart.repository import DATA, worker_clone


def fetch_images(stage: str) -> bool:
    """Fetch the data if the stage reads packed images and this host's store lacks some of them.

    Between this look and the stage others may have filled the store, and a damaged row shows only when it is
    read: whoever runs the stage looks again if it fails.

    Returns:
        Whether they were fetched.

    Raises:
        RemoteUnreachable: the DVC remote does not answer.
        LineageError: it does not hold the data, or what an earlier stage made.
    """
    if not _reads_pixels(stage):
        return False
    worker_clone.fetch_outs("preprocess")
    if PackedImages(load_table(paths.IMAGE_TABLE, list(NEEDED))).are_held():
        return False
    worker_clone.fetch_outs(str(DATA))
    return True


def _reads_pixels(stage: str) -> bool:
    if stage != "train":
        return True
    worker_clone.fetch_outs("features")
    return bool(features_metadata(paths.FEATURES)["cut"] == INPUT)
