"""A trained model as served: image bytes in, class probabilities out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL.Image import Image
from torchvision.transforms._presets import ImageClassification

from headstart.ground import runtime
from headstart.ground.settings import Precision
from headstart.pipeline.data.decoding import decode, decode_image
from headstart.pipeline.data.limits import Limits
from headstart.pipeline.features.frozen import frozen_prefix, run_frozen
from headstart.pipeline.network import checkpoint
from headstart.pipeline.network.assembly import Head, trained_head
from headstart.pipeline.network.modules import Chain
from headstart.pipeline.network.network import plan, spec_of
from headstart.pipeline.pixels.transforms import normalise, pack, transform_of


@dataclass(frozen=True)
class Predictor:
    """The whole network of one head, ready to answer."""

    prefix: Chain
    head: Head
    classes: tuple[str, ...]
    transform: ImageClassification
    limits: Limits
    precision: Precision
    metadata: dict[str, Any]

    @classmethod
    def load(cls, head: Path, backbone: Path) -> "Predictor":
        """Load from the files of the train and backbone stages, or their copies in a package.

        Raises:
            ModelError: a file is missing or was changed, or the two do not belong together.
        """
        metadata = checkpoint.metadata(head, checkpoint.HEAD)
        spec = spec_of(metadata)
        network = plan(spec)
        dtype = runtime.dtype_of(metadata["precision"])
        prefix = frozen_prefix(network, backbone, metadata["backbone"])
        return cls(
            prefix=prefix.to(runtime.device(), dtype).to(memory_format=torch.channels_last),
            head=trained_head(network, head, backbone).to(runtime.device()),
            classes=spec.classes,
            transform=transform_of(spec.arch, metadata["transform"]),
            limits=Limits.in_head(metadata),
            precision=metadata["precision"],
            metadata=metadata,
        )

    def predict(self, images: Sequence[bytes]) -> np.ndarray:
        """Probabilities for image files, run as one batch: float64 [N, C].

        Raises:
            DataError: an image cannot be decoded, or training would have refused it.
        """
        return self.predict_pixels(np.stack([self.pixels(image) for image in images]))

    def pixels(self, image: bytes | Image) -> np.ndarray:
        """An image file, or a picture in memory, as the network reads it: uint8 [H, W, 3].

        Raises:
            DataError: it cannot be decoded, or training would have refused it.
        """
        decoded = decode(image, self.limits) if isinstance(image, bytes) else decode_image(image, self.limits)
        with decoded as picture:
            return pack(
                picture, self.transform
            ).copy()  # Pillow's array is read-only, which torch warns about

    def refusal(self, probabilities: np.ndarray) -> str | None:
        """Why an image with these probabilities [C] gets no label; None if it gets one."""
        own = self.head.abstention
        return own.reason if own is not None and own.refuses(probabilities) else None

    def predict_pixels(self, pixels: np.ndarray) -> np.ndarray:
        """Map packed images uint8 [N, H, W, 3] to probabilities float64 [N, C]."""
        return self.predict_features(self.features(pixels))

    @torch.inference_mode()
    def features(self, pixels: np.ndarray) -> torch.Tensor:
        """Activations at the cut of packed images uint8 [N, H, W, 3]: float32 [N, *shape] on the device."""
        batch = normalise(torch.from_numpy(pixels).to(runtime.device()), self.transform)
        return run_frozen(self.prefix, batch.to(runtime.dtype_of(self.precision)), padded=False).float()

    @torch.inference_mode()
    def predict_features(self, features: torch.Tensor) -> np.ndarray:
        """Map activations at the cut to probabilities float64 [N, C]."""
        return self.head.probabilities(features).cpu().numpy()
