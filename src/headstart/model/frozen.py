"""Run the frozen part: the convolutions on a few images at a time, what follows on the whole batch."""

import torch

from headstart import runtime
from headstart.model.kinds import Flatten
from headstart.model.modules import Chain


@torch.inference_mode()
def run_frozen(prefix: Chain, batch: torch.Tensor) -> torch.Tensor:
    """Activations at the cut: [N, *shape].

    The maps of the convolutions are large and their weights small, so that few images at once stay in
    a processor's caches; the weights of the linear layers are large and are read once a batch. Parts
    have one shape, the last one padded, so that a row does not depend on its place.

    Args:
        batch: [N, 3, H, W] in the precision of the weights, channels last.
    """
    flat = next((i for i, layer in enumerate(prefix.layers) if isinstance(layer.kind, Flatten)), None)
    size = runtime.images_at_once(len(batch))
    if size == len(batch):
        whole: torch.Tensor = prefix(batch)
        return whole
    maps = prefix.part(0, flat)
    count = len(batch)
    if short := -count % size:
        batch = torch.cat([batch, batch.new_zeros(short, *batch.shape[1:])])
    parts = [maps(part.contiguous(memory_format=torch.channels_last)) for part in batch.split(size)]
    rows: torch.Tensor = torch.cat(parts)[:count]
    return rows if flat is None else prefix.part(flat, None)(rows)
