"""Tensors on disk."""

from pathlib import Path

import pytest
import torch

from headstart.errors import ModelError
from headstart.ground.files import replacing
from headstart.pipeline.network import checkpoint


def test_the_same_tensors_are_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    tensors = {"b": torch.arange(6.0).reshape(2, 3).t(), "a": torch.ones(2)}
    checkpoint.save(tmp_path / "1", tensors, {"x": 1, "a": [2]})
    checkpoint.save(tmp_path / "2", dict(reversed(tensors.items())), {"a": [2], "x": 1})
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()
    loaded = checkpoint.load(tmp_path / "1")
    assert all(torch.equal(loaded[name], tensors[name]) for name in tensors)
    assert checkpoint.metadata(tmp_path / "1") == {"x": 1, "a": [2]}
    assert checkpoint.digest(loaded) == checkpoint.digest(tensors)


def test_the_digest_sees_names_shapes_dtypes_and_values() -> None:
    base = {"a": torch.zeros(4)}
    others = [
        {"b": torch.zeros(4)},
        {"a": torch.zeros(2, 2)},
        {"a": torch.zeros(4, dtype=torch.int32)},
        {"a": torch.tensor([0.0, 0.0, 0.0, 1e-30])},
    ]
    digests = {checkpoint.digest(tensors) for tensors in [base, *others]}
    assert len(digests) == 5


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rows_written_one_by_one_are_a_safetensors_file(tmp_path: Path, dtype: torch.dtype) -> None:
    rows = torch.randn(7, 2, 3).to(dtype)
    path = tmp_path / "rows.safetensors"
    with path.open("wb") as file:
        writer = checkpoint.RowWriter(file, "features", (7, 2, 3), dtype, {"cut": "é"})
        for row in rows:
            writer.write(bytes(row.flatten().view(torch.uint8).numpy()))
    assert torch.equal(checkpoint.load(path)["features"], rows)
    reader = checkpoint.RowReader(path, "features")
    assert reader.shape == (7, 2, 3)
    assert reader.metadata == {"cut": "é"}
    assert torch.equal(reader.rows(2, 5), rows[2:5])


def test_what_is_no_file_of_ours_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot read"):
        checkpoint.load(tmp_path / "none")
    (tmp_path / "text").write_text("not tensors")
    with pytest.raises(ModelError, match="cannot read"):
        checkpoint.metadata(tmp_path / "text")
    checkpoint.save(tmp_path / "ours", {"a": torch.ones(1)}, {})
    with pytest.raises(ModelError, match="no tensor 'b'"):
        checkpoint.load(tmp_path / "ours", ["b"])


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("old")

    def fail() -> None:
        with replacing(path) as new:
            new.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
