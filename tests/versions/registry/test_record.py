"""The settings of a recorded run: the values that were used, whatever its params.yaml lacks."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from headstart.versions.registry.record import Record


def test_params_are_the_values_that_were_used(tmp_path: Path) -> None:
    record = Record("models:/headstart/1", cast(Any, SimpleNamespace()), None, (), tmp_path)
    (tmp_path / "record").mkdir()
    (tmp_path / "record/params.yaml").write_text("gate: {margin: 0.1}\n")
    assert record.params == {"gate": {"margin": 0.1}}  # of an earlier version
    (tmp_path / "record/settings.json").write_text('{"gate": {"margin": 0.1, "mirror": 0.85}}')
    assert record.params == {"gate": {"margin": 0.1, "mirror": 0.85}}
