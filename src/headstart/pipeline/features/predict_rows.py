"""Class probabilities of stored features."""

import numpy as np
import torch

from headstart.ground import runtime
from headstart.pipeline.features.feature_file import Rows, batches
from headstart.pipeline.network.assembly import Head


@torch.inference_mode()
def predict_head(head: Head, features: Rows, rows: range, size: int) -> np.ndarray:
    """Class probabilities of rows, at the head's temperature: float64 [N, C].

    Args:
        size: rows at once; see `Network.eval_batch`.
    """
    head.to(runtime.device()).eval()
    parts = [head.probabilities(batch).cpu() for _, batch in batches(features, rows, size)]
    return torch.cat(parts).numpy()
