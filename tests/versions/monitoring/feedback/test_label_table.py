"""The table of true labels: what people save, and what is wrong with it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from headstart.errors import DataError
from headstart.versions.monitoring.feedback.label_table import match, read_labels

CLASSES = {"r:0": ("ants", "bees"), "s:0": ("ants", "bees"), "s:1": ("ants", "bees")}
IDS = {"r:0": ["r:0"], "r": ["r:0"], "s:0": ["s:0"], "s:1": ["s:1"], "s": ["s:0", "s:1"]}


def table(folder: Path, text: str | bytes) -> Path:
    path = folder / "labels.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    "text",
    [
        "id,label\nr,ants\ns:1,bees\n",
        "\ufeffID;Label;note\r\nr;ants;x\r\ns:1;bees;\r\n",
        'id\tlabel\rr\t"ants"\rs:1\tbees',
    ],
)
def test_what_people_save_is_read(tmp_path: Path, text: str) -> None:
    found = read_labels(table(tmp_path, text))
    assert found.by == "id"
    assert [(row.key, row.label, row.line) for row in found.rows] == [("r", "ants", 2), ("s:1", "bees", 3)]
    assert match(found, IDS, CLASSES, False).labels.keys() == {"r:0", "s:1"}


def test_rows_without_a_label_and_repeated_ones_are_counted(tmp_path: Path) -> None:
    found = read_labels(table(tmp_path, "id,label\na,x\na,x\nb,\n,\n"))
    assert (len(found.rows), found.repeated, found.unlabelled) == (1, 1, 1)


def test_times_are_in_utc(tmp_path: Path) -> None:
    found = read_labels(
        table(tmp_path, "path,label,when\na,x,2026-03-01\nb,x,2026-03-01T08:00:00+02:00\nc,x,\n")
    )
    assert found.by == "path"
    assert [row.when for row in found.rows] == [
        datetime(2026, 3, 1, tzinfo=UTC),
        datetime(2026, 3, 1, 6, tzinfo=UTC),
        None,
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,label\na,x\n", "has the columns name, label; expected id or path, label"),
        ("", r"has the columns \(none\)"),
        ("id,label\na,x\na,y\n", "line 3: a is y, but x in line 2"),
        ("id,label,when\na,x,yesterday\n", "line 2: 'yesterday' is not a time in ISO 8601"),
        ("id,label,when\na,x,2999-01-01\n", "line 2: the time 2999-01-01 is yet to come"),
        ("id,label\na,x,z\n", "line 2 has more cells"),
        ("id,label\n,x\n", "line 2 has the label 'x' but no id"),
        (b"id,label\na,\xe4\n", "is not UTF-8"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, text: str | bytes, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_labels(table(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("s,ants", "line 2: s may be s:0, s:1; write the one that is meant"),
        ("r,beez", r"line 2: 'beez' is not among the classes ants, bees; did you mean bees\? \(--new-class"),
        ("r,ants\nr:0,bees", "line 3: r:0 is bees, but ants in line 2"),
    ],
)
def test_a_row_that_does_not_fit_the_answers_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        match(read_labels(table(tmp_path, f"id,label\n{text}\n")), IDS, CLASSES, False)


def test_unknown_ids_are_listed_and_new_classes_taken_if_asked_for(tmp_path: Path) -> None:
    found = match(read_labels(table(tmp_path, "id,label\nx,ants\nr,wasps\n")), IDS, CLASSES, True)
    assert found.unknown == ("x",)
    assert found.labels["r:0"].label == "wasps"
