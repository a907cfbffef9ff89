"""The frozen part of the network, run once for each distinct image."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
import torchvision
from torchvision.transforms._presets import ImageClassification

from headstart import runtime
from headstart.data.packed import PackedImages
from headstart.data.pixels import normalise
from headstart.data.views import JITTER, SCALE, make_view, view_key
from headstart.errors import ParamsError
from headstart.model.checkpoint import RowWriter
from headstart.model.feature_file import Views
from headstart.model.modules import Chain
from headstart.model.network import Network
from headstart.rows import RowStore, check_again


@dataclass(frozen=True)
class Forward:
    """How the frozen part is run: everything that a row's bytes depend on but the image.

    Attributes:
        prefix: the layers before the cut, with their weights.
        transform: torchvision's transform, whose second half makes floats of packed pixels.
        precision: `fp32` or `bf16`, for weights, arithmetic and what is stored.
        batch_size: the one batch shape; the last batch is padded.
    """

    prefix: Chain
    transform: ImageClassification
    precision: runtime.Precision
    batch_size: int

    def prepared(self) -> "Forward":
        """The same with weights on the device, in the precision, channels last."""
        dtype = runtime.dtype_of(self.precision)
        self.prefix.to(runtime.device(), dtype).to(memory_format=torch.channels_last)
        return self

    @torch.inference_mode()
    def run(self, pixels: np.ndarray) -> torch.Tensor:
        """Activations at the cut of uint8 [n, H, W, 3], n at most `batch_size`: [n, *shape], on the CPU."""
        count = len(pixels)
        padded = np.zeros((self.batch_size, *pixels.shape[1:]), np.uint8)
        padded[:count] = pixels
        batch = normalise(torch.from_numpy(padded).to(runtime.device()), self.transform)
        activations: torch.Tensor = self.prefix(batch.to(runtime.dtype_of(self.precision)))
        return activations[:count].contiguous().cpu()


class Pictures(Protocol):
    """Packed pixels by position."""

    def rows(self, start: int, stop: int) -> np.ndarray:
        """uint8 [stop - start, H, W, 3]."""


class ViewedImages:
    """Packed images followed by the further views of those in a range, made when they are asked for.

    Attributes:
        keys: what identifies each row's pixels, in hexadecimal digits.
    """

    def __init__(self, images: PackedImages, keys: Sequence[str], views: Views) -> None:
        self._images = images
        self._views = views
        viewed = keys[views.first : views.first + views.rows]
        further = [view_key(key, view, views.seed) for view in range(1, views.count) for key in viewed]
        self.keys = [*keys, *further]

    def rows(self, start: int, stop: int) -> np.ndarray:
        return np.concatenate([self._row(index) for index in range(start, stop)])

    def _row(self, index: int) -> np.ndarray:
        further = index - self._views.offset
        if further < 0:
            return self._images.rows(index, index + 1)
        source = self._views.first + further % self._views.rows
        return make_view(self._images.rows(source, source + 1)[0], self.keys[index])[None]


def write_features(
    forward: Forward,
    images: Pictures,
    keys: Sequence[str],
    store: RowStore,
    recipe: str,
    writer: RowWriter,
    advance: Callable[[int], object] = lambda count: None,
) -> int:
    """Write the activations of every packed image, in order; those that the store knows are not computed.

    Args:
        keys: digest of each image's pixels.
        writer: of a tensor [N, *shape].
        advance: told of each number of images that are done.

    Returns:
        How many images went through the network.

    Raises:
        DeterminismError: a stored row computed again is different.
    """
    known = store.has(recipe, keys)
    _check_store(forward, images, keys, known, store, recipe)
    computed = 0
    pending: list[int] = []
    first = 0
    for index, is_known in enumerate(known):
        if not is_known:
            pending.append(index)
        if len(pending) == forward.batch_size or index + 1 - first == 64 * forward.batch_size:
            computed += _compute(forward, images, keys, pending, store, recipe)
            _copy(keys[first : index + 1], store, recipe, writer)
            advance(index + 1 - first)
            first, pending = index + 1, []
    computed += _compute(forward, images, keys, pending, store, recipe)
    _copy(keys[first:], store, recipe, writer)
    advance(len(keys) - first)
    return computed


def features_recipe(network: Network, backbone_digest: str, forward: Forward) -> dict[str, object]:
    """What a row of features depends on besides the image and our own code."""
    return {
        "rows": "features",
        "backbone": backbone_digest,
        "layers": [f"{layer.name} {layer.kind!r}" for layer in network.before],
        "views": [*SCALE, JITTER],
        "transform": repr(forward.transform),
        "precision": forward.precision,
        "batch_size": forward.batch_size,
        "device": runtime.device_name(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "numpy": np.__version__,
    }


def check_size(network: Network, images: int, precision: runtime.Precision, max_gb: float) -> int:
    """Bytes of the features of `images` images or views, before any work; where the cut is the input, 0.

    Raises:
        ParamsError: more than `max_gb` gigabytes (10^9 bytes).
    """
    if not network.cut:
        return 0
    row = math.prod(network.feature_shape) * runtime.DTYPES[precision].itemsize
    if row * images > max_gb * 1e9:
        raise ParamsError(
            f"features.max_gb: the cut after {network.cut_name} stores {row:,} bytes an image, "
            f"{row * images / 1e9:.1f} GB for {images:,} images, more than {max_gb:g} GB; cut later "
            "(train or replace fewer layers), use fewer features.views or bf16, or raise features.max_gb"
        )
    return row * images


def _compute(
    forward: Forward,
    images: Pictures,
    keys: Sequence[str],
    indices: Sequence[int],
    store: RowStore,
    recipe: str,
) -> int:
    """Run the network over distinct images and store their rows."""
    distinct = list({keys[index]: index for index in indices}.values())
    if not distinct:
        return 0
    rows = _rows_of(forward, images, distinct)
    store.put(recipe, {keys[index]: row for index, row in zip(distinct, rows, strict=True)})
    return len(distinct)


def _rows_of(forward: Forward, images: Pictures, indices: Sequence[int]) -> list[bytes]:
    pixels = np.concatenate([images.rows(index, index + 1) for index in indices])
    activations = forward.run(pixels)
    return [bytes(row.flatten().view(torch.uint8).numpy()) for row in activations]


def _copy(keys: Sequence[str], store: RowStore, recipe: str, writer: RowWriter) -> None:
    for key in keys:
        [row] = store.get(recipe, [key])
        assert row is not None
        writer.write(row)


def _check_store(
    forward: Forward,
    images: Pictures,
    keys: Sequence[str],
    known: Sequence[bool],
    store: RowStore,
    recipe: str,
) -> None:
    indices = [index for index, is_known in enumerate(known) if is_known][: forward.batch_size]
    if not indices:
        return
    stored = [row for row in store.get(recipe, [keys[i] for i in indices]) if row is not None]
    check_again(
        "features",
        [keys[index] for index in indices],
        stored,
        lambda: _rows_of(forward, images, indices),
    )
