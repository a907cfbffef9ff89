"""Files are moved, never deleted; the data are versioned; --undo gives every byte back."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from projects import commit, draw_images, dvc, edit_params, headstart, make_repository
from sections import section

import headstart.review.fixing as fixing
from headstart.errors import HeadstartError
from headstart.review.fixes import Decision, write_fixes

FIXES = [
    Decision("dark/000.png", "remove"),
    Decision("dark/001.png", "relabel", "light"),
    Decision("light/002.png", "keep"),
]


def contents(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted((root / "data").rglob("*"))
        if path.is_file()
    }


def test_files_are_moved_versioned_and_given_back(repository: Path) -> None:
    before, version = contents(repository), (repository / "data.dvc").read_text()
    write_fixes(repository / "fixes.csv", FIXES)
    said = headstart(repository, "fix")
    assert "moved 1 to quarantine/" in said
    assert "relabelled 1: data/dark/001.png -> data/light/001-2.png" in said
    after = contents(repository)
    assert set(before) - set(after) == {"data/dark/000.png", "data/dark/001.png"}
    assert after["data/light/001-2.png"] == before["data/dark/001.png"]
    [kept] = repository.glob("quarantine/*/dark/000.png")
    assert kept.read_bytes() == before["data/dark/000.png"]
    assert (repository / "data.dvc").read_text() != version
    assert "up to date" in dvc(repository, "status", "data.dvc")
    assert "nothing to do" in headstart(repository, "fix", "fixes.csv")
    said = headstart(repository, "fix", "--undo")
    assert "moved 2 files back" in said
    assert contents(repository) == before
    assert (repository / "data.dvc").read_text() == version
    assert "there is nothing to take back" in headstart(repository, "fix", "--undo", status=1)


def test_a_fix_that_was_cut_off_can_be_taken_back(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(repository)
    write_fixes(repository / "fixes.csv", FIXES)
    monkeypatch.chdir(repository)
    moved = []

    def once(before: Path, after: Path) -> None:
        assert not moved
        moved.append(after)
        after.parent.mkdir(parents=True, exist_ok=True)
        before.rename(after)

    with monkeypatch.context() as patch:
        patch.setattr(fixing, "_rename", once)
        with pytest.raises(AssertionError):
            fixing.fix(FIXES, section("data"), datetime.now(UTC))
    assert contents(repository) != before
    fixing.undo()
    assert contents(repository) == before


@pytest.mark.parametrize(
    ("decision", "message"),
    [
        (Decision("dark/999.png", "remove"), "there is no image data/dark/999.png"),
        (
            Decision("dark/000.png", "relabel", "lihgt"),
            "no class 'lihgt'; expected one of dark, light",
        ),
        (Decision("dark/000.png", "group", group="dark/001.png"), "needs a table of labels"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_is_moved(
    repository: Path, decision: Decision, message: str
) -> None:
    before = contents(repository)
    write_fixes(
        repository / "fixes.csv", [*FIXES[:1], decision] if "000" not in decision.path else [decision]
    )
    assert message in headstart(repository, "fix", status=1)
    assert contents(repository) == before
    assert not (repository / "quarantine").exists()


def test_images_of_one_name_in_two_classes_both_keep_their_bytes(repository: Path) -> None:
    draw_images(repository / "data", {"third": 3}, seed=4)
    before = contents(repository)
    wanted = [Decision(f"{name}/000.png", "relabel", "third") for name in ("dark", "light")]
    write_fixes(repository / "fixes.csv", wanted)
    headstart(repository, "fix")
    assert sorted(contents(repository).values()) == sorted(before.values())
    assert {"data/third/000-2.png", "data/third/000-3.png"} <= set(contents(repository))


def test_images_of_a_source_are_mended_at_the_source(repository: Path, tmp_path: Path) -> None:
    edit_params(repository, **{"data.source": str(tmp_path)})
    write_fixes(repository / "fixes.csv", FIXES)
    assert "would bring these back" in headstart(repository, "fix", status=1)


@pytest.mark.parametrize("name", ["labels.csv", "labels.parquet"])
def test_a_table_of_labels_is_edited_and_restored(tree: Path, name: str) -> None:
    draw_images(tree / "data", {"all": 20})
    table = tree / "data" / name
    rows = pd.DataFrame(
        {"path": [f"all/{n:03}.png" for n in range(20)], "label": ["a", "b"] * 10, "x": "more"}
    )
    (rows.to_csv if name.endswith("csv") else rows.to_parquet)(table, index=False)
    edit_params(tree, **{"data.labels": name})
    make_repository(tree)
    commit(tree)
    before = contents(tree)
    decisions = [
        Decision("all/000.png", "remove"),
        Decision("all/002.png", "relabel", "b"),
        Decision("all/004.png", "group", group="all/006.png"),
    ]
    write_fixes(tree / "fixes.csv", decisions)
    assert "changed 3 rows of the table of labels" in headstart(tree, "fix")
    found = (pd.read_csv if name.endswith("csv") else pd.read_parquet)(table).set_index("path")
    assert "all/000.png" not in found.index
    assert found.loc["all/002.png", "label"] == "b"
    assert found.loc["all/004.png", "group"] == found.loc["all/006.png", "group"] == "all/006.png"
    assert (found["x"] == "more").all()
    headstart(tree, "fix", "--undo")
    assert contents(tree) == before


def test_a_table_may_write_paths_its_own_way_and_what_dvc_linked_stays_as_it_was(tree: Path) -> None:
    draw_images(tree / "data", {"all": 21})
    rows = [f"./all/{number:03}.png,{'ab'[number % 2]}" for number in range(20)]
    table = tree / "data/labels.csv"
    table.write_text("\n".join(["path,label", *rows, ""]))
    edit_params(tree, **{"data.labels": "labels.csv"})
    make_repository(tree)
    cached = tree / "cached.csv"
    cached.hardlink_to(table)
    before = cached.read_bytes()
    unlisted, other = Decision("all/020.png", "remove"), Decision("all/002.png", "relabel", "b")
    write_fixes(tree / "fixes.csv", [unlisted, other])
    headstart(tree, "fix")
    assert "./all/002.png,b" in table.read_text().splitlines()
    assert not (tree / "data/all/020.png").exists()
    assert cached.read_bytes() == before
    headstart(tree, "fix", "--undo")
    assert table.read_bytes() == before
    write_fixes(tree / "fixes.csv", [Decision("all/020.png", "relabel", "a")])
    assert "is in no class" in headstart(tree, "fix", status=1)


@pytest.mark.parametrize(
    "journal",
    [
        {"moves": [{"before": "../evil.png", "after": "quarantine/1/a.png"}], "table": None},
        {"moves": [{"before": "data/a.png", "after": "/etc/passwd"}], "table": None},
        {"moves": [], "table": "../labels.csv"},
    ],
)
def test_a_journal_moves_nothing_out_of_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, journal: dict[str, object]
) -> None:
    root = tmp_path / "project"
    (root / "quarantine/1").mkdir(parents=True)
    monkeypatch.chdir(root)
    (root / "quarantine/1" / fixing.JOURNAL).write_text(json.dumps(journal))
    (root / "quarantine/1/a.png").write_bytes(b"")
    with pytest.raises(HeadstartError, match="does not lead into"):
        fixing.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["project"]
