"""A damaged file is an error that names it and what makes it again, and no message is long."""

import json
from pathlib import Path

import pandas as pd
import pytest

from headstart.errors import DamagedFile, DataError
from headstart.ground.reading import load_json, load_table, reading
from headstart.ground.wording import shortened, shown


@pytest.mark.parametrize("data", [b"", b'{"a": ', b"\xff\xfe", b"[1]", b"[" * 100_000])
def test_a_damaged_document_is_named(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "metrics.json"
    path.write_bytes(data)
    with pytest.raises(DamagedFile, match=r"cannot read .*metrics\.json: it is cut off .*`dvc repro`"):
        load_json(path)


def test_documents_and_tables_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"é": [1]}))
    assert load_json(tmp_path / "a.json") == {"é": [1]}
    table = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    table.to_parquet(tmp_path / "t.parquet")
    table.to_csv(tmp_path / "t.csv", index=False)
    for name in ("t.parquet", "t.csv"):
        assert load_table(tmp_path / name).equals(table)
        assert load_table(tmp_path / name, ["b"])["b"].tolist() == ["x", "y"]
        with pytest.raises(DamagedFile, match=f"cannot read .*{name}"):
            load_table(tmp_path / name, ["c"])


@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_a_cut_table_is_named(tmp_path: Path, share: float) -> None:
    path = tmp_path / "images.parquet"
    pd.DataFrame({"a": range(1000)}).to_parquet(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(DamagedFile, match=r"cannot read .*images\.parquet: it is cut off.*`dvc checkout`"):
        load_table(path)


def test_a_missing_file_is_named_with_the_advice(tmp_path: Path) -> None:
    with pytest.raises(DamagedFile, match=r"there is no .*gone\.json; fetch it"):
        load_json(tmp_path / "gone.json", "fetch it")


def test_errors_of_our_own_pass() -> None:
    with pytest.raises(DataError, match="mine"), reading(Path("a")):
        raise DataError("mine")


def test_values_in_messages_are_short() -> None:
    nested: list[object] = ["lol"]
    for _ in range(30):
        nested = [nested] * 9
    for value in (nested, "x" * 10**6, {"a" * 1000: nested}, 10**4000, 2 ** (2**20), list(range(10**5))):
        assert len(shown(value)) <= 303
    assert (shown("ten"), shown([1, {"a": None}]), shown(2.5)) == ("'ten'", "[1, {'a': None}]", "2.5")
    assert shortened("x" * 1000) == "x" * 300 + "..."
