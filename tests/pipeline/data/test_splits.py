"""Splits by the hash of the pixels."""

import hashlib
from collections import Counter

from headstart.pipeline.data.splits import split_of

FRACTIONS = {"train": 0.6, "val": 0.2, "test": 0.2}
DIGESTS = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(20000)]


def test_shares_are_those_asked_for() -> None:
    counts = Counter(split_of(digest, FRACTIONS, 0) for digest in DIGESTS)
    for name, share in FRACTIONS.items():
        assert abs(counts[name] / len(DIGESTS) - share) < 0.02


def test_the_seed_moves_images() -> None:
    moved = sum(split_of(d, FRACTIONS, 0) != split_of(d, FRACTIONS, 1) for d in DIGESTS)
    assert 0.4 < moved / len(DIGESTS) < 0.7


def test_a_split_is_what_it_was_when_the_code_was_written() -> None:
    found = [split_of(digest, FRACTIONS, 0) for digest in DIGESTS[:12]]
    assert " ".join(found) == GOLDEN


GOLDEN = "test test val val train train train test train train train val"
