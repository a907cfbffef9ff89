"""The images of a record and their groups."""

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from headstart.versions.registry import recorded_images


def test_an_image_of_no_group_is_a_group_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded_images, "files_of", lambda record, rows, folder: list(rows["path"]))
    rows = pd.DataFrame({"path": ["a/1", "a/2", "b/1"], "label": list("aab"), "pixels": ["01", "02", "03"]})
    rows["excluded"], rows["split"] = "", "test"
    record = SimpleNamespace(name="models:/m/1", file=lambda name: tmp_path / "manifest.parquet")

    def groups_of(table: pd.DataFrame) -> recorded_images.TestImages:
        table.to_parquet(tmp_path / "manifest.parquet")
        return recorded_images.test_images(record, tmp_path)  # type: ignore[arg-type]

    assert not groups_of(rows).are_grouped  # as early versions wrote it
    assert not groups_of(rows.assign(group="")).are_grouped
    grouped = groups_of(rows.assign(group=["object 1", "object 1", ""]))
    assert grouped.are_grouped
    assert grouped.groups == ["object 1", "object 1", "03"]
    assert grouped.without({"01"}).groups == ["object 1", "03"]
