"""Turn a decoded picture into network input, the same way for training, scoring and serving."""

import numpy as np
import torch
from PIL import Image
from torchvision.models import get_model_weights
from torchvision.transforms import functional as F
from torchvision.transforms._presets import ImageClassification

from headstart.errors import ParamsError

LONGEST = 16  # longer side over the shorter one


def transform_of(arch: str, weights: str) -> ImageClassification:
    """The transform that torchvision ships with a set of weights (such as `VGG16_Weights.IMAGENET1K_V1`).

    Raises:
        ParamsError: torchvision has no such weights for this architecture.
    """
    known = get_model_weights(arch).__members__
    if weights not in known:
        raise ParamsError(
            f"preprocess.weights: {weights!r} is not among torchvision's weights for {arch}; "
            f"expected one of {', '.join(known)}"
        )
    transform = known[weights].transforms()
    assert isinstance(transform, ImageClassification)
    return transform


def pack(image: Image.Image, transform: ImageClassification) -> np.ndarray:
    """Resize and crop an RGB picture as `transform` does: uint8 [crop, crop, 3].

    If a picture is more than LONGEST times as long as it is wide, only its middle is resized: the crop keeps
    nothing else, and the whole would take thousands of times the picture's memory.
    """
    resized = F.resize(
        _middle(image),
        transform.resize_size,
        interpolation=transform.interpolation,
        antialias=transform.antialias,
    )
    return np.asarray(F.center_crop(resized, transform.crop_size))


def _middle(image: Image.Image) -> Image.Image:
    """The picture without what lies far from its centre; the centre stays where it was."""
    short, long = sorted(image.size)
    if long <= LONGEST * short:
        return image
    start = (long - LONGEST * short) // 2
    stop = long - start
    if image.width > image.height:
        return image.crop((start, 0, stop, short))
    return image.crop((0, start, short, stop))


def normalise(batch: torch.Tensor, transform: ImageClassification) -> torch.Tensor:
    """Turn packed pixels into network input: the second half of `transform`.

    Args:
        batch: uint8 [N, H, W, 3].

    Returns:
        float32 [N, 3, H, W] in channels_last order, with the mean and standard deviation of `transform`.
    """
    floats = F.convert_image_dtype(batch.permute(0, 3, 1, 2), torch.float32)
    normalised: torch.Tensor = F.normalize(floats, mean=transform.mean, std=transform.std)
    return normalised
