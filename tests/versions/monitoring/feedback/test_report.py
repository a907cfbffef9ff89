"""Accuracy in production: which images count, what picked ones stand for, and the page."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from headstart.cli.json_output import as_json
from headstart.errors import DataError
from headstart.versions.monitoring.feedback import page, run
from headstart.versions.monitoring.feedback.answers import kept_answers, scored_answers
from headstart.versions.monitoring.feedback.report import weights_of
from headstart.versions.monitoring.feedback.tested import OwnTest
from headstart.versions.monitoring.settings import Monitor
from headstart.versions.serving.kept.rows import Kept
from headstart.versions.serving.kept.store import KeptStore

NOON = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
VERSION = "models:/m/2"


def kept(id_: str, best: str | None, sure: float = 0.9, days: float = 0, version: str = VERSION) -> Kept:
    """An answer `days` ago; None for an image that cannot be read, refused below 0.6."""
    time = NOON - timedelta(days=days)
    if best is None:
        return Kept(id_, time, f"{id_}.jpg", version, None, None, "it is damaged", f"sha {id_}")
    other = {"ants": "bees", "bees": "ants"}[best]
    label = best if sure >= 0.6 else None
    return Kept(id_, time, f"{id_}.jpg", version, label, {best: sure, other: 1 - sure}, None, f"sha {id_}")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[KeptStore]:
    with KeptStore(tmp_path / "kept", is_new=True) as made:
        yield made


@pytest.fixture(autouse=True)
def records(monkeypatch: pytest.MonkeyPatch) -> None:
    """Version 2 has a test of 40 images, 36 of them right; other versions have no record."""
    labels = np.array(["ants"] * 20 + ["bees"] * 20, object)
    predicted = np.array(["bees"] * 4 + ["ants"] * 16 + ["bees"] * 20, object)
    confidence = np.concatenate([np.linspace(0.55, 0.7, 4), np.linspace(0.6, 0.99, 36)])
    test = OwnTest(
        VERSION,
        NOON - timedelta(days=200),
        0.9,
        labels,
        predicted,
        confidence,
        None,
        frozenset({"sha seen:0"}),
    )
    monkeypatch.setattr(run, "_test", lambda version, say: test if version == VERSION else "it has no record")


def labels(folder: Path, *rows: tuple[str, str], when: str = "") -> run.Labels:
    path = folder / "labels.csv"
    path.write_text("id,label,when\n" + "".join(f"{id_},{label},{when}\n" for id_, label in rows))
    return run.Labels(path, False)


def test_accuracy_counts_what_it_should(tmp_path: Path, store: KeptStore) -> None:
    rows = [kept(f"a{number}:0", "ants", 0.9, number) for number in range(8)]
    rows += [kept("refused:0", "bees", 0.55), kept("bad:0", None), kept("seen:0", "bees")]
    rows += [kept("old:0", "bees", days=30, version="models:/m/1")]
    store.add(rows, {})
    given = [(f"a{number}:0", "bees" if number == 0 else "ants") for number in range(4)]
    given += [("refused", "bees"), ("seen:0", "ants"), ("old:0", "ants"), ("gone", "ants")]
    _, took, found = run.from_store(tmp_path / "kept", labels(tmp_path, *given), Monitor(), print)
    assert took == run.Took(7, 0, 0, 0, ("gone",))
    new, old = found.versions
    assert (new.version, new.images, new.refused, new.unreadable, new.seen, new.labelled) == (
        VERSION,
        9,
        1,
        1,
        1,
        5,
    )
    assert new.accuracy is not None
    assert new.answered is not None
    assert new.test is not None
    assert (new.accuracy.value, new.answered.value, new.test.value) == (0.8, 0.75, 0.9)
    assert new.change is not None
    assert new.change.value == pytest.approx(-0.1)
    assert found.level == 0.9
    assert old.test is None
    assert "it has no record" in old.note
    assert [row.name for row in found.classes] == ["ants", "bees"]
    assert [row.recall and row.recall.value for row in found.classes] == [1.0, 0.5]
    assert [row.precision and row.precision.value for row in found.classes] == [0.75, 1.0]
    assert found.unit == "week"
    assert sum(row.labelled for row in found.periods) == 6

    _, took, found = run.from_store(tmp_path / "kept", labels(tmp_path, ("a0", "ants")), Monitor(), print)
    assert took is not None
    assert took.changed == 1
    assert found.versions[0].accuracy is not None
    assert found.versions[0].accuracy.value == 1.0


def test_picked_images_stand_for_themselves_alone(tmp_path: Path, store: KeptStore) -> None:
    store.add([kept(f"a{number}:0", "ants") for number in range(100)], {})
    store.add_picks({f"a{number}:0": "uncertain" for number in range(10)} | {"a10:0": "random"})
    hard = [(f"a{number}:0", "bees") for number in range(10)]
    _, _, found = run.from_store(tmp_path / "kept", labels(tmp_path, *hard), Monitor(), print)
    [row] = found.versions
    assert row.accuracy is None
    assert "only images picked for being doubtful have labels" in row.note
    assert "an accuracy of" in found.sentence()
    assert [each.recall for each in found.classes] == []

    easy = [(f"a{number}:0", "ants") for number in range(10, 20)]
    _, _, found = run.from_store(tmp_path / "kept", labels(tmp_path, *easy), Monitor(), print)
    [row] = found.versions
    assert row.accuracy is not None
    assert row.accuracy.value == pytest.approx(0.9)  # 90 of 100 by those that were not picked; plainly 0.5
    assert (row.picked, row.picked_labelled) == (10, 10)
    assert "10 were picked for being doubtful" in page.counts(row)


def test_weights_add_up_to_the_images() -> None:
    rows = pd.DataFrame({"label": ["x", None, "x", None, None], "picked": [True, True, False, False, False]})
    found = weights_of(rows)
    assert found is not None
    assert found.tolist() == [2, 0, 3, 0, 0]
    assert weights_of(rows.assign(label=["x", None, None, None, None])) is None


def test_a_time_of_its_own_places_a_label(tmp_path: Path, store: KeptStore) -> None:
    store.add([kept("a:0", "ants"), kept("b:0", "ants")], {})
    given = labels(tmp_path, ("a", "ants"), when="2026-01-05")
    _, _, found = run.from_store(tmp_path / "kept", given, Monitor(), print)
    assert found.periods[0].since <= "2026-01-05"
    again = kept_answers(store, tmp_path).table.set_index("id")["time"]
    assert again["a:0"] == pd.Timestamp("2026-01-05", tz="UTC")
    assert again["b:0"] == pd.Timestamp(NOON)


def test_nothing_is_stored_from_a_table_with_a_wrong_row(tmp_path: Path, store: KeptStore) -> None:
    store.add([kept("a:0", "ants"), kept("b:0", "ants")], {})
    with pytest.raises(DataError, match="line 3: 'wasps' is not among the classes ants, bees"):
        run.from_store(tmp_path / "kept", labels(tmp_path, ("a", "ants"), ("b", "wasps")), Monitor(), print)
    assert list(store.labelled()) == []


def test_the_page_and_the_document_show_the_alarm_and_the_assumption(
    tmp_path: Path, store: KeptStore
) -> None:
    store.add([kept(f"<b>{number}:0", "ants", days=number / 40) for number in range(120)], {})
    rows = [(f"<b>{number}:0", "bees") for number in range(120)]
    _, took, found = run.from_store(tmp_path / "kept", labels(tmp_path, *rows), Monitor(), print)
    [alarm] = found.alarms
    assert alarm.kind == "labels"
    html = page.as_html(found)
    assert alarm.sentence() in html
    assert "It assumes that answers of one confidence" in html
    assert html.count("<img") == 1
    assert "ALARM" in page.as_text(found)
    document = json.loads(as_json(run.as_dict(took, None, found)))
    assert document["alarms"][0]["kind"] == "labels"
    assert document["labels"]["labels"] == 120


def test_labels_outlive_the_age_but_not_the_image(tmp_path: Path, store: KeptStore) -> None:
    store.add([kept("a:0", "ants", days=40), kept("b:0", "ants", days=40)], {})
    store.add_labels([("a:0", "bees", NOON)])
    assert store.prune(30, 1) == 1
    [(row, label, _)] = store.labelled()
    assert (row.id, row.name, label) == ("a:0", None, "bees")
    assert store.remove(["a"]) == 1
    assert list(store.labelled()) == []


def test_doubtful_images_do_not_outlive_those_they_were_picked_from(tmp_path: Path, store: KeptStore) -> None:
    store.add([kept(f"a{number}:0", "ants", days=40) for number in range(100)], {})
    store.add_picks({f"a{number}:0": "unlike" for number in range(10)} | {"a10:0": "random"})
    store.add_labels([(f"a{number}:0", "bees" if number < 10 else "ants", NOON) for number in range(20)])
    assert store.prune(30, 1) == 90
    _, _, found = run.from_store(tmp_path / "kept", None, Monitor(), print)
    assert found.versions[0].accuracy is not None
    assert found.versions[0].accuracy.value == 1  # with them it would be 0.5, and was 0.9


def test_a_cause_is_reported_once(store: KeptStore) -> None:
    assert not store.was_reported("labels models:/m/1")
    store.add_report("labels models:/m/1")
    assert store.was_reported("labels models:/m/1")
    assert not store.was_reported("estimate models:/m/1")


def test_scores_are_matched_by_path(tmp_path: Path) -> None:
    scores = pd.DataFrame(
        {
            "path": ["x/a.jpg", "x/b.jpg", "x/c.jpg"],
            "label": ["ants", None, None],
            "confidence": [0.9, 0.55, None],
            "error": [None, "refused: it", "damaged"],
            "model_version": VERSION,
            "probability:ants": [0.9, 0.45, None],
            "probability:bees": [0.1, 0.55, None],
        }
    )
    scores.to_parquet(tmp_path / "scores.parquet")
    (tmp_path / "labels.csv").write_text("path,label\nx/a.jpg,ants\nx/b.jpg,ants\n")
    given = run.Labels(tmp_path / "labels.csv", False)
    _, _, found = run.from_scores(tmp_path / "scores.parquet", given, Monitor(), print)
    [row] = found.versions
    assert (row.images, row.refused, row.unreadable, row.labelled) == (2, 1, 1, 2)
    assert row.accuracy is not None
    assert row.accuracy.value == 0.5
    assert found.periods == ()
    (tmp_path / "other.parquet").write_bytes((tmp_path / "labels.csv").read_bytes())
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        scored_answers(tmp_path / "other.parquet")
