"""The speed of two exported files on this machine, side by side."""

import time
from dataclasses import dataclass

import numpy as np

from headstart.versions.export.images import Run

ROUNDS = 3


@dataclass(frozen=True)
class Speed:
    """Images per second of a file, by the clock and by processor time (of all threads together)."""

    images_per_s: float
    images_per_cpu_s: float


def side_by_side(first: Run, second: Run, pixels: np.ndarray, rounds: int = ROUNDS) -> tuple[Speed, Speed]:
    """Let two files answer for the same pixels uint8 [N, H, W, 3] in turns, so that other load meets both.

    The first pass of each is not counted.
    """
    runs = (first, second)
    for run in runs:
        run(pixels)
    spent = np.zeros((2, 2))
    for number in range(rounds):
        for index in (0, 1) if number % 2 else (1, 0):
            wall, processor = time.perf_counter(), time.process_time()
            runs[index](pixels)
            spent[index] += time.perf_counter() - wall, time.process_time() - processor
    images = rounds * len(pixels)
    one, other = (Speed(*(images / np.maximum(seconds, 1e-9)).tolist()) for seconds in spent)
    return one, other
