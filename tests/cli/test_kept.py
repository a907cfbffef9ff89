"""`headstart kept` and the options of `headstart serve` that keep requests."""

import json
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from documents import documented

from headstart.cli.kept import serve_settings
from headstart.cli.main import main
from headstart.errors import HeadstartError
from headstart.versions.serving.kept.rows import Kept
from headstart.versions.serving.kept.store import KeptStore


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of kept answers, outside of a project."""
    monkeypatch.chdir(tmp_path)
    answer = ("models:/m/1", "ok", {"ok": 1.0}, None, "ab" * 32)
    rows = [Kept(id_, datetime.now(UTC), "a\x1b[2Jb.png", *answer) for id_ in ("r:0", "r:1", "s:0")]
    with KeptStore(tmp_path / "kept", is_new=True) as store:
        store.add(rows, {})
    return tmp_path / "kept"


def kept(capfd: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> str:
    with pytest.raises(SystemExit, match=str(status)) if status else nullcontext():
        main(["kept", *arguments])
    return capfd.readouterr().out


def as_json(capfd: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> Any:
    document = json.loads(kept(capfd, *arguments, "--json", status=status))
    assert set(document) == documented(f"kept {arguments[0]}")
    return document


def test_answers_are_listed_and_removed_by_id(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    where = ("--dir", str(folder))
    text = kept(capfd, "list", *where)
    assert text.count("models:/m/1  ok  a?[2Jb.png") == 3
    assert "3 answers and 0 images" in text
    found = as_json(capfd, "list", *where)
    assert [each["id"] for each in found["answers"]] == ["r:0", "r:1", "s:0"]
    assert as_json(capfd, "list", *where, "--version", "models:/m/2")["answers"] == []
    gone = as_json(capfd, "remove", "r", "t", *where, status=3)
    assert (gone["removed"], gone["unknown"]) == (["r:0", "r:1"], ["t"])
    assert kept(capfd, "remove", "s:0", *where) == "removed s:0\n"
    assert as_json(capfd, "prune", *where)["rows"] == 0


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["kept", "list"], "--dir"),
        (["kept", "remove", "--dir", "kept"], "at least one"),
        (["kept", "list", "r", "--dir", "kept"], "ids are for `remove`"),
        (["kept", "list", "--dir", "elsewhere"], "nothing is kept in elsewhere"),
        (["serve", "--keep", "0.1"], "--keep-dir"),
        (["serve", "--keep-dir", "there"], "nothing is kept: add --keep"),
        (["serve", "--keep", "2", "--keep-dir", "there"], "--keep: input should be less than or equal to 1"),
    ],
)
def test_what_is_ambiguous_is_asked(folder: Path, arguments: list[str], reason: str) -> None:
    with pytest.raises(SystemExit, match=reason):
        main(arguments)


def test_a_project_s_settings_hold_unless_an_option_says_otherwise(tree: Path) -> None:
    params = tree / "params.yaml"
    params.write_text(params.read_text().replace("keep: 0.0 ", "keep: 0.25 "))
    assert serve_settings(tree).keep == 0.25
    assert serve_settings(tree, keep=0.0, folder="there").keep == 0
    assert serve_settings(None).keep == 0
    params.write_text(params.read_text().replace("keep: 0.25", "keep: 25"))
    with pytest.raises(HeadstartError, match=r"params.yaml: serve.keep: .* found 25"):
        serve_settings(tree)
