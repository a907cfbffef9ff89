"""The frozen part: its weights, and its forward pass."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from headstart.ground import runtime
from headstart.pipeline.network.assembly import frozen_tensors
from headstart.pipeline.network.kinds import Flatten
from headstart.pipeline.network.modules import Chain, prefix_of
from headstart.pipeline.network.network import Network


def frozen_prefix(network: Network, backbone: Path, recorded: Mapping[str, Any] | None = None) -> Chain:
    """The layers before the cut with the backbone's weights; no other tensors are read.

    A new layer among them, such as a pooling, has no tensors.

    Args:
        recorded: see `frozen_tensors`.

    Raises:
        ModelError: it is not the recorded backbone, or was changed.
    """
    runtime.keep_memory()
    prefix = prefix_of(network)
    prefix.load(frozen_tensors(backbone, list(prefix.tensors()), recorded))
    return prefix


@torch.inference_mode()
def run_frozen(prefix: Chain, batch: torch.Tensor, padded: bool = True) -> torch.Tensor:
    """Activations at the cut: [N, *shape].

    Convolutions run on a few images at a time: their maps are large and their weights small, so that a
    processor's caches hold them. Linear layers run on the whole batch, because their weights are large
    and are then read once per batch.

    Args:
        batch: [N, 3, H, W] in the precision of the weights, channels last.
        padded: all parts have one shape, the last one padded, so that the bytes of a row do not depend on
            its position; else an odd image costs less.
    """
    flat = next((i for i, layer in enumerate(prefix.layers) if isinstance(layer.kind, Flatten)), None)
    size = runtime.images_at_once(len(batch))
    if size == len(batch):
        whole: torch.Tensor = prefix(batch)
        return whole
    maps = prefix.part(0, flat)
    count = len(batch)
    short = -count % size
    if short and padded:
        batch = torch.cat([batch, batch.new_zeros(short, *batch.shape[1:])])
    parts = [maps(part.contiguous(memory_format=torch.channels_last)) for part in batch.split(size)]
    rows: torch.Tensor = torch.cat(parts)[:count]
    return rows if flat is None else prefix.part(flat, None)(rows)
