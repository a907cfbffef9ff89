"""Kept images, drawn at random, labelled and added to a source, arrive in data/ in their class."""

import csv
import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from projects import draw_images

from headstart.errors import DataError
from headstart.sources.ingestion import bring
from headstart.versions.monitoring.feedback import label_folder, run
from headstart.versions.monitoring.settings import Monitor
from headstart.versions.serving.kept.rows import Kept
from headstart.versions.serving.kept.store import KeptStore

NOW = datetime.now(UTC)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of eight images, one of them twice, answered by a model without a record."""
    draw_images(tmp_path / "new", {"dark": 4, "light": 4}, seed=7)
    files = sorted((tmp_path / "new").rglob("*.png"))
    images = {hashlib.sha256(path.read_bytes()).hexdigest(): path.read_bytes() for path in files}
    rows = []
    for number, digest in enumerate([*images, next(iter(images))]):
        chances = {"dark": 0.6, "light": 0.4}
        time = NOW - timedelta(hours=9 - number)
        rows.append(Kept(f"r{number}:0", time, None, "head abc", "dark", chances, None, digest))
    with KeptStore(tmp_path / "kept", is_new=True) as store:
        store.add(rows, images)
    return tmp_path / "kept"


def test_kept_images_become_training_images(folder: Path, tmp_path: Path) -> None:
    picked = run.pick(tmp_path / "to-label", folder, "", 0, 5, Monitor(), print)
    assert list(picked.why.values()) == ["random"] * 5
    assert picked.sentence().startswith("5 images (5 random) are in")
    table = tmp_path / "to-label/labels.csv"
    assert (tmp_path / "to-label/.gitignore").read_text() == "*\n"
    assert (tmp_path / "to-label/images").stat().st_mode & 0o77 == 0
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["label"] for row in rows} == {""}
    truth = {path.read_bytes(): path.parent.name for path in (tmp_path / "new").rglob("*.png")}
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["id", "path", "label"])
        writer.writeheader()
        for row in rows:
            label = truth[(table.parent / row["path"]).read_bytes()]
            writer.writerow({**row, "label": label})

    answers, took, found = run.from_store(folder, run.Labels(table, False), Monitor(), print)
    assert took is not None
    assert took.labels == 5
    [version] = found.versions
    assert version.accuracy is not None
    assert version.picked == 0  # they were drawn at random
    draw_images(tmp_path / "source", {"dark": 3, "light": 3})
    added = run.into_source(answers, table, str(tmp_path / "source"), None, None)
    brought = bring(str(tmp_path / "source"), tmp_path / "data", 0, 0.5)
    assert len(added.new) == 5
    assert set(added.new) <= set(brought.new)
    for name in added.new:
        path = tmp_path / "data" / name
        assert truth[path.read_bytes()] == path.parent.name

    rest = run.pick(tmp_path / "more", folder, "", 0, 50, Monitor(), print)
    pictures = [path.read_bytes() for path in (tmp_path / "more/images").iterdir()]
    assert not set(rest.why) & set(picked.why)
    assert len(set(pictures)) == len(pictures) == 3
    with pytest.raises(DataError, match="no kept image is left to label"):
        run.pick(tmp_path / "none", folder, "", 0, 50, Monitor(), print)


def test_images_removed_while_others_are_picked_are_left_out(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*of: object) -> dict[str, str]:
        with KeptStore(folder) as store:  # a server that prunes meanwhile
            store.remove(["r3"])
        return {"r2:0": "unlike", "r3:0": "unlike"}

    monkeypatch.setattr(label_folder, "doubtful_ids", slow)
    picked = run.pick(tmp_path / "to-label", folder, "", 2, 0, Monitor(), print)
    with KeptStore(folder) as store:
        assert picked.why == store.picks() == {"r2:0": "unlike"}
        store.add_picks({"r3:0": "unlike"})  # removed in the last moment
        assert set(store.picks()) == {"r2:0"}


def test_labels_whose_image_is_gone_are_counted(folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("id,label\nr2,dark\nr3,dark\n")
    answers, _, _ = run.from_store(folder, run.Labels(table, False), Monitor(), print)
    gone = answers.table.set_index("id")["image"]["r3:0"]
    gone.unlink()
    draw_images(tmp_path / "source", {"dark": 3, "light": 3})
    added = run.into_source(answers, table, str(tmp_path / "source"), None, None)
    assert (len(added.new), added.lost) == (1, 1)
    assert added.sentence().endswith("1 images added, 0 were there already, 1 are not kept here any more")


def test_a_folder_with_files_is_left_alone(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not an empty folder"):
        label_folder.check_new(tmp_path / "new")
    label_folder.check_new(tmp_path / "nowhere")
