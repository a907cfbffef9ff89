"""The size of the features file, known as soon as the images are counted; needs no tensor library."""

import math

from headstart.errors import ParamsError
from headstart.ground.settings import Precision
from headstart.pipeline.network.network import Network

BYTES = {"fp32": 4, "bf16": 2}  # per number


def check_size(network: Network, images: int, precision: Precision, max_gb: float) -> int:
    """Compute how many bytes the features of `images` images or views take; 0 if the cut is the input.

    Raises:
        ParamsError: more than `max_gb` gigabytes (10^9 bytes).
    """
    if not network.cut:
        return 0
    row = math.prod(network.feature_shape) * BYTES[precision]
    if row * images > max_gb * 1e9:
        raise ParamsError(
            f"features.max_gb: the cut after {network.cut_name} stores {row:,} bytes per image, "
            f"{row * images / 1e9:.1f} GB for {images:,} images, more than {max_gb:g} GB; cut later "
            "(train or replace fewer layers), use fewer features.views or bf16, or raise features.max_gb"
        )
    return row * images
