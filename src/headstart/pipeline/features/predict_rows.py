"""Class probabilities of stored features."""

import numpy as np
import torch

from headstart.ground import runtime
from headstart.pipeline.features.feature_file import Rows, batches
from headstart.pipeline.network.modules import Chain


@torch.inference_mode()
def predict_head(head: Chain, features: Rows, rows: range, size: int) -> np.ndarray:
    """Class probabilities of rows: float64 [N, C], the softmax taken in float64.

    Args:
        size: rows at once; see `Network.eval_batch`.
    """
    head.to(runtime.device()).eval()
    parts = [head(batch).double().softmax(1).cpu() for _, batch in batches(features, rows, size)]
    return torch.cat(parts).numpy()
