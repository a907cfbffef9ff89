"""Decisions are read as people write them, and a wrong line is named."""

from pathlib import Path

import pytest

from headstart.errors import DataError
from headstart.review.fixes import Decision, read_fixes, write_fixes

ROWS = [
    Decision("a/1.jpg", "remove", note="blurred, really"),
    Decision("a/2.jpg", "relabel", "b"),
    Decision('a/"3",.jpg', "keep"),
    Decision("a/4.jpg", "group", group="a/1.jpg"),
]


def test_decisions_are_read_as_they_were_written(tmp_path: Path) -> None:
    write_fixes(tmp_path / "fixes.csv", ROWS)
    assert read_fixes(tmp_path / "fixes.csv") == ROWS


def test_a_table_by_hand_may_lack_columns_and_hold_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "fixes.csv"
    path.write_text("\ufeffpath, action ,label\na/1.jpg, remove\n\n a/2.jpg,relabel,b\n", encoding="utf-8")
    assert read_fixes(path) == [Decision("a/1.jpg", "remove"), Decision("a/2.jpg", "relabel", "b")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\n", "has no column action"),
        ("path,action\na/1.jpg,delete\n", "line 2: the action is 'delete', expected one of keep, remove"),
        ("path,action\na/1.jpg,relabel\n", "line 2: relabel needs the right class"),
        ("path,action\na/1.jpg,group\n", "line 2: group needs"),
        ("path,action\n,keep\n", "line 2: there is no path"),
        ("path,action\na/1.jpg,keep\na/1.jpg,remove\n", "line 3: a/1.jpg is named before"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "fixes.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_fixes(tmp_path / "fixes.csv")


def test_a_missing_or_unreadable_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="`headstart review` writes it"):
        read_fixes(tmp_path / "fixes.csv")
    (tmp_path / "fixes.csv").write_bytes(b"path,action\n\xff\xfe,keep\n")
    with pytest.raises(DataError, match="cannot be read as a table in UTF-8"):
        read_fixes(tmp_path / "fixes.csv")
