"""Assign an image to a split by its pixels alone, so that it never moves."""

import hashlib
from collections.abc import Mapping

SPLITS = ("train", "val", "test")


def split_of(pixels: str, fractions: Mapping[str, float], seed: int) -> str:
    """The split of an image, by the hash of its decoded pixels.

    Adding or removing other images moves nothing, and the same picture under two names lands in one split.

    Args:
        pixels: digest of the decoded pixels, from `decoding.pixel_digest`.
        fractions: share of each split; they sum to 1, and their order matters.
        seed: a different seed gives a different assignment.
    """
    digest = hashlib.sha256(f"{seed}:{pixels}".encode()).digest()
    position = int.from_bytes(digest[:8], "big") / 2**64
    bound = 0.0
    for name, fraction in fractions.items():
        bound += fraction
        if position < bound:
            return name
    return list(fractions)[-1]
