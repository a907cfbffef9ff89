"""Class probabilities of stored features."""

import numpy as np
import torch

from headstart.model.feature_file import Features
from headstart.model.network import Chain


@torch.inference_mode()
def predict_head(head: Chain, features: Features, rows: range, size: int = 256) -> np.ndarray:
    """Class probabilities of rows: float64 [N, C], the softmax taken in float64."""
    head.eval()
    parts = [head(batch).double().softmax(1) for _, batch in features.batches(rows, size)]
    return torch.cat(parts).numpy()
