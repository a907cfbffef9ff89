"""Run the frozen part of the network once per distinct image."""

import copy
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import torch
import torchvision
from torchvision.transforms._presets import ImageClassification

from headstart.ground import runtime
from headstart.ground.settings import Precision
from headstart.pipeline.features.feature_file import Views
from headstart.pipeline.features.frozen import run_frozen
from headstart.pipeline.network.checkpoint import RowWriter
from headstart.pipeline.network.modules import Chain
from headstart.pipeline.network.network import Network
from headstart.pipeline.pixels.packed import PackedImages
from headstart.pipeline.pixels.transforms import normalise
from headstart.pipeline.pixels.views import JITTER, SCALE, make_view, view_key
from headstart.pipeline.store.rows import RowStore, check_again, recipe_digest

T = TypeVar("T")

HELD_BYTES = 8 * 2**20  # of rows written to the store together, or copied out of it


@dataclass(frozen=True)
class Forward:
    """How the frozen part runs: everything that a row's bytes depend on, apart from the image.

    Attributes:
        prefix: the layers before the cut, with their weights.
        transform: torchvision's transform, whose second half turns packed pixels into floats.
        precision: `fp32` or `bf16`, for weights, arithmetic and stored rows.
        batch_size: the only batch size; the last batch is padded to it.
    """

    prefix: Chain
    transform: ImageClassification
    precision: Precision
    batch_size: int

    def prepared(self) -> list["Replica"]:
        """A replica on each device, with its weights in `precision` and channels last."""
        dtype = runtime.dtype_of(self.precision)
        self.prefix.to(dtype).to(memory_format=torch.channels_last)
        first, *further = runtime.devices()
        copies = [copy.deepcopy(self.prefix).to(device) for device in further]
        return [Replica(self, self.prefix.to(first), first)] + [
            Replica(self, prefix, device) for prefix, device in zip(copies, further, strict=True)
        ]


@dataclass(frozen=True)
class Replica:
    """The frozen part on one device."""

    forward: Forward
    prefix: Chain
    device: torch.device

    @torch.inference_mode()
    def start(self, pixels: torch.Tensor) -> Callable[[], torch.Tensor]:
        """Send a batch uint8 [batch_size, H, W, 3] through; the returned function waits for its rows.

        Rows are [batch_size, *shape], on the CPU.
        """
        moved = runtime.to_device(pixels, self.device)
        floats = normalise(moved, self.forward.transform)
        batch = floats.to(runtime.dtype_of(self.forward.precision))
        return runtime.to_host(run_frozen(self.prefix, batch).contiguous())


class Pictures(Protocol):
    """Packed pixels by position."""

    def rows(self, start: int, stop: int) -> np.ndarray:
        """uint8 [stop - start, H, W, 3]."""


class ViewedImages:
    """Packed images followed by extra views of those in a range; the views are made when they are read.

    Attributes:
        keys: the hexadecimal key that identifies each row's pixels.
    """

    def __init__(self, images: PackedImages, keys: Sequence[str], views: Views) -> None:
        self._images = images
        self._views = views
        viewed = keys[views.first : views.first + views.rows]
        further = [view_key(key, view, views.seed) for view in range(1, views.count) for key in viewed]
        self.keys = [*keys, *further]

    def rows(self, start: int, stop: int) -> np.ndarray:
        plain = min(max(start, self._views.offset), stop)
        parts = [self._images.rows(start, plain)] if start < plain else []
        return np.concatenate([*parts, *(self._further(index) for index in range(plain, stop))])

    def _further(self, index: int) -> np.ndarray:
        source = self._views.first + (index - self._views.offset) % self._views.rows
        return make_view(self._images.rows(source, source + 1)[0], self.keys[index])[None]


def write_features(
    replicas: Sequence[Replica],
    images: Pictures,
    keys: Sequence[str],
    store: RowStore,
    recipe: str,
    writer: RowWriter,
    advance: Callable[[int], object] = lambda count: None,
) -> int:
    """Write the activations of every packed image, in order; those in the store are not recomputed.

    Args:
        replicas: the frozen part on each device; batches go to them in turn.
        keys: digest of each image's pixels.
        writer: writes a tensor [N, *shape].
        advance: called with the number of images just done.

    Returns:
        How many images went through the network.

    Raises:
        DeterminismError: a stored row differs when recomputed.
    """
    known = store.has(recipe, keys)
    _check_store(replicas[0], images, keys, known, store, recipe)
    missing = {keys[index]: index for index in reversed(range(len(keys))) if not known[index]}
    todo = sorted(missing.values())
    advance(len(keys) - len(todo))
    size = replicas[0].forward.batch_size
    held = max(1, HELD_BYTES // writer.row_bytes)
    computed = len(todo)
    for part in _slices(todo, max(size, held // size * size)):
        store.put(recipe, _computed(replicas, images, keys, part, advance))
    for places in _slices(range(len(keys)), held):
        rows = store.get(recipe, [keys[index] for index in places])
        lost = {keys[index]: index for index, row in zip(places, rows, strict=True) if row is None}
        again = _computed(replicas, images, keys, list(lost.values()))
        store.put(recipe, again, drops=False)
        computed += len(again)
        for index, row in zip(places, rows, strict=True):
            writer.write(again[keys[index]] if row is None else row)
    return computed


def features_recipe(network: Network, backbone_digest: str, forward: Forward) -> str:
    """Digest of everything that a row depends on apart from the image, including our own code."""
    recipe = {
        "rows": "features",
        "backbone": backbone_digest,
        "layers": [f"{layer.name} {layer.kind!r}" for layer in network.before],
        "views": [*SCALE, JITTER],
        "transform": repr(forward.transform),
        "precision": forward.precision,
        "batch_size": forward.batch_size,
        "images_at_once": runtime.images_at_once(forward.batch_size),
        "device": runtime.device_name(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "numpy": np.__version__,
    }
    return recipe_digest(recipe, __name__)


def _computed(
    replicas: Sequence[Replica],
    images: Pictures,
    keys: Sequence[str],
    indices: Sequence[int],
    advance: Callable[[int], object] = lambda count: None,
) -> dict[str, bytes]:
    """Rows of images by position, by key."""
    rows: dict[str, bytes] = {}
    for some, activations in _activations(replicas, images, indices):
        rows |= {keys[index]: row for index, row in zip(some, _as_bytes(activations), strict=True)}
        advance(len(some))
    return rows


def _activations(
    replicas: Sequence[Replica], images: Pictures, indices: Sequence[int]
) -> Iterator[tuple[Sequence[int], torch.Tensor]]:
    """Rows of images by position, in order; the next batches are read while one is computed."""
    size = replicas[0].forward.batch_size
    batches = list(_slices(indices, size))
    running: deque[tuple[Sequence[int], Callable[[], torch.Tensor]]] = deque()
    with ThreadPoolExecutor(1) as pool:
        read = deque(pool.submit(_batch, images, part, size) for part in batches[: len(replicas) + 1])
        for number, part in enumerate(batches):
            pixels = read.popleft().result()
            if number + len(replicas) + 1 < len(batches):
                read.append(pool.submit(_batch, images, batches[number + len(replicas) + 1], size))
            running.append((part, replicas[number % len(replicas)].start(pixels)))
            if len(running) > len(replicas):
                done, wait = running.popleft()
                yield done, wait()[: len(done)]
        for done, wait in running:
            yield done, wait()[: len(done)]


def _batch(images: Pictures, indices: Sequence[int], size: int) -> torch.Tensor:
    """Pixels of images by position, padded to `size`; adjacent images are read together."""
    runs: list[list[int]] = []
    for index in indices:
        if runs and index == runs[-1][-1] + 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    found = [images.rows(run[0], run[-1] + 1) for run in runs]
    padding = np.zeros((size - len(indices), *found[0].shape[1:]), np.uint8)
    return torch.from_numpy(np.concatenate([*found, padding]))


def _as_bytes(activations: torch.Tensor) -> list[bytes]:
    return [bytes(row.flatten().view(torch.uint8).numpy()) for row in activations]


def _slices(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _check_store(
    replica: Replica,
    images: Pictures,
    keys: Sequence[str],
    known: Sequence[bool],
    store: RowStore,
    recipe: str,
) -> None:
    indices = [index for index, is_known in enumerate(known) if is_known][: replica.forward.batch_size]
    if not indices:
        return
    own = [keys[index] for index in indices]
    check_again("features", own, store.get(recipe, own), lambda: _computed([replica], images, keys, indices))
