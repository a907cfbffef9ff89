"""The pretrained network, unchanged: 1000 ImageNet classes."""

from dataclasses import dataclass

import numpy as np
import torch
from torchvision.models import get_model_weights
from torchvision.transforms._presets import ImageClassification

from headstart.errors import BackboneError
from headstart.ground import runtime
from headstart.pipeline.data.decoding import decode
from headstart.pipeline.data.limits import Limits
from headstart.pipeline.features.frozen import run_frozen
from headstart.pipeline.network.backbone import load_backbone
from headstart.pipeline.network.modules import Chain
from headstart.pipeline.network.settings import Backbone
from headstart.pipeline.network.vgg import vgg_layers
from headstart.pipeline.pixels.transforms import normalise, pack, transform_of


@dataclass(frozen=True)
class Classifier:
    """All layers with their pretrained weights, in eval mode.

    Attributes:
        source: where the weights come from.
        categories: names of the 1000 outputs.
    """

    network: Chain
    transform: ImageClassification
    categories: tuple[str, ...]
    source: str
    limits: Limits

    @classmethod
    def load(cls, source: Backbone, weights: str, limits: Limits) -> "Classifier":
        """Load the whole backbone that params.yaml names.

        Args:
            weights: the torchvision weights whose transform and category names are used.
            limits: what a picture may be.

        Raises:
            BackboneError: the weights are unreachable or damaged.
        """
        backbone = load_backbone(source)
        for name, reason in backbone.lacking.items():
            raise BackboneError(
                f"backbone.weights: {name} of {backbone.source} {reason}; `headstart classify` needs the "
                "whole pretrained network with its 1000 outputs"
            )
        chain = Chain(vgg_layers(source.arch, source.width))
        chain.load(backbone.tensors)
        chain.eval().requires_grad_(False).to(runtime.device()).to(memory_format=torch.channels_last)
        transform = transform_of(source.arch, weights)
        categories = tuple(get_model_weights(source.arch)[weights].meta["categories"])
        return cls(chain, transform, categories, backbone.source, limits)

    def pixels(self, image: bytes) -> np.ndarray:
        """An image file as the network reads it: uint8 [H, W, 3].

        Raises:
            DataError: it cannot be decoded, or validation would refuse it.
        """
        with decode(image, self.limits) as picture:
            return pack(picture, self.transform)

    @torch.inference_mode()
    def predict_pixels(self, pixels: np.ndarray) -> np.ndarray:
        """Map packed images uint8 [N, H, W, 3] to probabilities float64 [N, 1000]."""
        batch = normalise(torch.from_numpy(pixels).to(runtime.device()), self.transform)
        logits = run_frozen(self.network, batch)
        return logits.double().softmax(1).cpu().numpy()
