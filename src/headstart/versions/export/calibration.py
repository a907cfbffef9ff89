"""The training images on which the ranges of an int8 file's activations are measured."""

import hashlib
import json
from dataclasses import asdict, dataclass

from headstart.errors import LineageError
from headstart.pipeline.data.manifest import read_manifest
from headstart.versions.registry.record import MANIFEST, Record

IMAGES = 64
SEED = 0


@dataclass(frozen=True)
class Calibration:
    """How an int8 file was calibrated.

    Attributes:
        images: that were drawn from the training split.
        seed: of the draw.
        method: `minmax`: the range of an activation is that from its least to its greatest value.
        digest: SHA-256 over the pixel digests of the images, in the order of the draw.
    """

    images: int
    seed: int
    method: str
    digest: str

    def as_json(self) -> str:
        """The value of `calibration` in the file's description."""
        return json.dumps(asdict(self))


def draw(record: Record, count: int, method: str, seed: int = SEED) -> tuple[list[str], Calibration]:
    """Draw images of a version's training split: their paths in its manifest, and the record of the draw.

    The draw takes the images whose pixel digest, hashed with the seed, is least: it depends neither on paths
    nor on the order of the manifest. A smaller split is taken whole.

    Raises:
        LineageError: the version has no training images in its record.
    """
    manifest = read_manifest(record.file(MANIFEST))
    training = manifest[manifest["split"] == "train"].drop_duplicates("pixels")
    if training.empty:
        raise LineageError(f"{record.name}: its manifest names no training image to calibrate int8 on")
    order = [_key(pixels, seed) for pixels in training["pixels"]]
    chosen = training.assign(order=order).sort_values("order")[:count]
    digest = hashlib.sha256("\n".join(chosen["pixels"]).encode()).hexdigest()
    return list(chosen["path"]), Calibration(len(chosen), seed, method, digest)


def _key(pixels: str, seed: int) -> str:
    return hashlib.sha256(f"{seed} {pixels}".encode()).hexdigest()
