"""Batches of one epoch in a random order, with memory bounded by a window of rows."""

import math
from collections.abc import Iterator

import numpy as np
import torch

from headstart.ground import runtime
from headstart.pipeline.features.examples import LabelledRows
from headstart.pipeline.features.feature_file import Rows, on_device

BLOCK_ROWS = 64
WINDOW_BYTES = 256 * 2**20


def shuffled(
    features: Rows, split: LabelledRows, size: int, order: np.random.Generator
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The batches of one epoch in a new random order, each image in one of its views.

    Blocks of neighbouring rows are shuffled, then the rows within a window of blocks, so that the file
    is read in long pieces and memory is bounded by one window. Rows are stored in the order of their
    pixel digests, so that neighbours have nothing in common. Features smaller than a window are
    shuffled completely.
    """
    rows = split.indices
    starts = np.arange(rows.start, rows.stop, BLOCK_ROWS)
    order.shuffle(starts)
    row_bytes = 4 * max(1, math.prod(features.row_shape))
    in_window = max(1, WINDOW_BYTES // (BLOCK_ROWS * row_bytes))
    left: tuple[torch.Tensor, torch.Tensor] | None = None
    for first in range(0, len(starts), in_window):
        blocks = [range(s, min(s + BLOCK_ROWS, rows.stop)) for s in starts[first : first + in_window]]
        data = torch.cat([_block(features, block, order) for block in blocks])
        labels = torch.cat([split.labels_of(block) for block in blocks])
        mixed = torch.from_numpy(order.permutation(len(data)))
        data, labels, mixed = (runtime.to_device(part, runtime.device()) for part in (data, labels, mixed))
        data, labels = data[mixed], labels[mixed]
        if left is not None:
            data, labels = torch.cat([left[0], data]), torch.cat([left[1], labels])
        whole = len(data) // size * size
        for start in range(0, whole, size):
            yield on_device(data[start : start + size]), on_device(labels[start : start + size])
        left = (data[whole:], labels[whole:])
    if left is not None and len(left[0]):
        yield on_device(left[0]), on_device(left[1])


def joined(
    drawn: Iterator[tuple[torch.Tensor, torch.Tensor]], least: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The same batches, the last one joined with the one before if it has fewer than `least` rows."""
    held: tuple[torch.Tensor, torch.Tensor] | None = None
    for data, labels in drawn:
        if held is not None and len(labels) < least:
            held = torch.cat([held[0], data]), torch.cat([held[1], labels])
            continue
        if held is not None:
            yield held
        held = data, labels
    if held is not None:
        yield held


def steps_per_epoch(rows: int, size: int, least: int) -> int:
    """How many batches `joined` gives."""
    whole, left = divmod(rows, size)
    return max(1, whole + (left >= least if whole else 1)) if left else whole


def _block(features: Rows, block: range, order: np.random.Generator) -> torch.Tensor:
    if features.views == 1:
        return features.rows(block.start, block.stop)
    return features.viewed(block.start, order.integers(features.views, size=len(block)))
