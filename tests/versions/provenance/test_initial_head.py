"""Setting `train.init` in a params.yaml that lacks the key, or the whole section."""

from pathlib import Path

import pytest

from headstart.params import load_params
from headstart.versions.provenance.initial_head import set_init

DIGEST = "0123456789abcdef" * 4
WEIGHTS = "backbone: {weights: random}\n"  # the one key without a default


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("train:  # fast\n  lr: 0.1  # high\n", f"train:  # fast\n  lr: 0.1  # high\n  init: {DIGEST}\n"),
        ("gate: {margin: 0.1}\n", f"gate: {{margin: 0.1}}\ntrain:\n  init: {DIGEST}\n"),
        ("gate: {margin: 0.1}\ntrain: null\n", f"gate: {{margin: 0.1}}\ntrain:\n  init: {DIGEST}\n"),
    ],
)
def test_a_missing_key_or_section_is_added(
    text: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "params.yaml"
    text, expected = WEIGHTS + text, WEIGHTS + expected
    path.write_text(text)
    set_init(None)
    assert path.read_text() == text
    set_init(DIGEST)
    assert load_params(path).train.init == DIGEST
    assert path.read_text() == expected
