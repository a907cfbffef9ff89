"""Why test images were answered as they were: the evidence in them, and training images like them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headstart.ground import paths
from headstart.pipeline.evaluation.results import Results
from headstart.pipeline.explanation.attribution import Attribution, has_maps
from headstart.pipeline.explanation.overlay import overlay_jpeg
from headstart.pipeline.explanation.similar import Nearest, most_similar
from headstart.pipeline.features.examples import rows_of
from headstart.pipeline.network.network import INPUT, plan, spec_of

SIDE = 200  # pixels of an overlay's longer side
NEAREST = 3  # training images beside a test image
NEAREST_SIDE = 64


@dataclass(frozen=True)
class Explanation:
    """Why an image was answered as it was.

    Attributes:
        overlay_jpeg: the picture with the evidence for the predicted class, None if the network has no maps.
        nearest: the most similar training images, none if no features are stored.
    """

    overlay_jpeg: bytes | None
    nearest: tuple[Nearest, ...]


def of(results: Results, places: Sequence[int] | NDArray[np.int64]) -> list[Explanation]:
    """Explain the answers for some test images.

    The whole network runs on each of them again, since features are not stored before the last convolution.

    Args:
        places: of the images in `results.table`.
    """
    chosen = np.asarray(places, np.int64)
    if not len(chosen):
        return []
    overlays, nearest = _overlays(results, chosen), _nearest(results, chosen)
    return [Explanation(*pair) for pair in zip(overlays, nearest, strict=True)]


def _overlays(results: Results, chosen: NDArray[np.int64]) -> list[bytes | None]:
    if not has_maps(plan(spec_of(results.head))):
        return [None] * len(chosen)
    attribution = Attribution.load(paths.HEAD, paths.BACKBONE)
    pixels = results.packed.at(results.table["row"].to_numpy()[chosen].tolist())
    maps = attribution.maps(pixels, results.predicted[chosen])
    return [overlay_jpeg(own, evidence, SIDE) for own, evidence in zip(pixels, maps, strict=True)]


def _nearest(results: Results, chosen: NDArray[np.int64]) -> list[tuple[Nearest, ...]]:
    if results.head["cut"] == INPUT:
        return [()] * len(chosen)
    train = rows_of(results.images, "train", results.classes).indices
    space = results.space
    rows = results.table["row"].to_numpy()[chosen]
    queries = np.concatenate([part for row in rows for part in space.vectors(range(int(row), int(row) + 1))])
    found = most_similar(space, queries, train, NEAREST)
    return [
        tuple(_of_row(results, int(row), float(similarity)) for row, similarity in zip(*pair, strict=True))
        for pair in zip(found.rows, found.similarities, strict=True)
    ]


def _of_row(results: Results, row: int, similarity: float) -> Nearest:
    own = results.images.iloc[row]
    return Nearest(own["path"], own["label"], similarity, results.picture_of(row, NEAREST_SIDE))
