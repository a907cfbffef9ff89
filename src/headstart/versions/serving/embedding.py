"""Features at the cut for pictures of any origin, with the bytes that stage features writes for them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from PIL.Image import Image

from headstart.errors import ModelError
from headstart.ground import runtime
from headstart.pipeline.features.compute import Forward, Replica
from headstart.pipeline.network.network import INPUT, plan, spec_of
from headstart.versions.serving.predictor import Predictor

SETTINGS = threading.RLock()  # those of torch hold for the whole process


class Embedding:
    """The frozen part of a model, run as stage features runs it: at its batch size, the last batch padded.

    Attributes:
        batch_size: images per pass.
        width: numbers per image.

    Raises:
        ModelError: nothing of the network is frozen.
    """

    def __init__(self, predictor: Predictor) -> None:
        metadata = predictor.metadata
        if metadata["cut"] == INPUT:
            raise ModelError("every layer of this model was trained, so there are no features at a cut")
        self.batch_size = int(metadata["batch_size"])
        self.width = int(np.prod(plan(spec_of(metadata)).feature_shape))
        self._predictor = predictor
        forward = Forward(predictor.prefix, predictor.transform, predictor.precision, self.batch_size)
        self._replica = Replica(forward, predictor.prefix, runtime.device())

    def pixels(self, image: bytes | Image) -> np.ndarray:
        """As `Predictor.pixels`."""
        return self._predictor.pixels(image)

    def predict_pixels(self, pixels: np.ndarray) -> np.ndarray:
        """Map at most `batch_size` packed images uint8 [n, H, W, 3] to features float32 [n, width]."""
        count = len(pixels)
        padding = np.zeros((self.batch_size - count, *pixels.shape[1:]), np.uint8)
        with _deterministic():
            rows = self._replica.start(torch.from_numpy(np.concatenate([pixels, padding])))()
        return rows[:count].flatten(1).float().numpy()


@contextmanager
def _deterministic() -> Iterator[None]:
    """Compute as the stages do, in one thread at a time; the caller's torch has its own settings afterwards.

    Nothing is drawn: the frozen layers run as in evaluation, so random numbers stay the caller's.
    """
    with SETTINGS:
        mode, memory = torch.get_deterministic_debug_mode(), torch.utils.deterministic
        fill = memory.fill_uninitialized_memory  # type: ignore[attr-defined]
        matmul = torch.get_float32_matmul_precision()
        benchmark, tf32 = torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32
        try:
            runtime.choose_deterministic()
            yield
        finally:
            torch.set_deterministic_debug_mode(mode)
            memory.fill_uninitialized_memory = fill  # type: ignore[attr-defined]
            torch.set_float32_matmul_precision(matmul)
            torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32 = benchmark, tf32
