"""The split that an image belongs to: a function of its pixels alone, so that it never moves."""

import hashlib
from collections.abc import Mapping

SPLITS = ("train", "val", "test")


def split_of(pixels: str, fractions: Mapping[str, float], seed: int) -> str:
    """The split of an image, by the hash of its decoded pixels.

    Adding or removing other images moves nothing, and the same picture under two names lands in one split.

    Args:
        pixels: digest of the decoded pixels, as `decoding.pixel_digest` gives it.
        fractions: share of each split, in the order they are drawn from; they sum to 1.
        seed: another seed, another split.
    """
    digest = hashlib.sha256(f"{seed}:{pixels}".encode()).digest()
    position = int.from_bytes(digest[:8], "big") / 2**64
    bound = 0.0
    for name, fraction in fractions.items():
        bound += fraction
        if position < bound:
            return name
    return list(fractions)[-1]
