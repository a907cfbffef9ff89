"""Training after the cut equals training the whole network: the proof of docs/cut.md on narrow networks."""

from pathlib import Path

import pytest
from cut_proof import CASES, Case, compare


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.arch} {case.title}")
def test_losses_and_head_are_bit_equal(case: Case, tmp_path: Path) -> None:
    result = compare(case, 4, tmp_path)
    assert (result.loss, result.head) == (0, 0)
    assert result.steps == 12
