"""Two versions on their common test images: won and lost, and paired intervals."""

import numpy as np
import pandas as pd
import pytest

from headstart.pipeline.evaluation.paired_difference import difference
from headstart.versions.provenance.paired_images import Paired, pair

LABELS = ["a"] * 12 + ["b"] * 6


def table(wrong: set[int], first: int = 0) -> pd.DataFrame:
    rows = [
        {"path": f"{index:02}.png", "pixels": f"p{index}", "label": label, "predicted": label}
        for index, label in enumerate(LABELS)
    ]
    for index in wrong:
        rows[index]["predicted"] = "other"
    return pd.DataFrame(rows[first:])


def paired(before: pd.DataFrame, after: pd.DataFrame, groups: dict[str, str] | None = None) -> Paired:
    return pair(before, after, pd.Series(groups or {}, dtype=object), confidence=0.9, least=10)


def test_images_won_and_lost_are_named() -> None:
    found = paired(table({0, 1, 12}), table({1, 5}))
    assert (found.images, found.won, found.lost) == (18, ("00.png", "12.png"), ("05.png",))
    assert found.accuracy is not None
    assert found.accuracy.value == pytest.approx(1 / 18)
    assert found.accuracy.low < 0 < found.accuracy.high
    assert found.to_dict()["won"] == ["00.png", "12.png"]
    assert found.lines()[1:3] == ["won 2: 00.png, 12.png", "lost 1: 05.png"]


def test_the_interval_is_that_of_the_gate() -> None:
    found = paired(table({0, 1, 12}), table(set())).accuracy
    was, now = np.ones(18, np.bool_), np.ones(18, np.bool_)
    was[[0, 1, 12]] = False
    value, interval = difference(now, was, 0.9)
    assert found is not None
    assert (found.value, found.low, found.high) == (value, interval.low, interval.high)


def test_a_class_with_few_images_has_no_interval() -> None:
    found = paired(table({0}), table({12}))
    assert list(found.recalls) == ["a"]
    assert (found.recalls["a"].images, found.recalls["a"].value) == (12, pytest.approx(1 / 12))


def test_classes_that_seem_to_change_by_chance_are_counted() -> None:
    gap = paired(table(set()), table(set())).accuracy
    assert gap is not None
    found = Paired(500, 0, (), 0.9, 10, gap, dict.fromkeys(map(str, range(42)), gap), (), ())
    assert "none of the 42 classes changed, up to about 4 would still" in found.lines()[-1]
    few = Paired(500, 0, (), 0.9, 10, gap, dict.fromkeys("ab", gap), (), ())
    assert (few.by_chance, few.lines()[-1]) == ("", "lost 0")


def test_images_of_one_group_count_less() -> None:
    alone = paired(table({0, 1, 2}), table(set())).accuracy
    grouped = paired(table({0, 1, 2}), table(set()), {"p0": "g", "p1": "g", "p2": "g"}).accuracy
    assert alone is not None
    assert grouped is not None
    assert grouped.value == alone.value
    assert grouped.high - grouped.low > alone.high - alone.low


def test_only_common_images_count() -> None:
    assert paired(table({0}, first=9), table({0})).images == 9
    nothing = paired(table(set())[:0], table(set()))
    assert (nothing.accuracy, nothing.recalls, nothing.won) == (None, {}, ())
    assert nothing.lines() == ["no test image is common to both"]


def test_images_that_an_earlier_head_saw_do_not_count() -> None:
    found = pair(
        *(table({0, 1, 12}), table({1, 5}), pd.Series(dtype=object), 0.9, 10),
        seen={"p0", "p12", "p17", "of no test image"},
        unknown=["models:/m/1"],
    )
    assert (found.images, found.seen, found.won, found.lost) == (15, 3, (), ("05.png",))
    assert found.accuracy is not None
    assert (found.accuracy.images, found.accuracy.value) == (15, pytest.approx(-1 / 15))
    assert found.lines()[0].startswith("3 more common test images are left out: a head that one of the two")
    assert "may flatter models:/m/1" in found.lines()[1]
    every = {f"p{index}" for index in range(18)}
    nothing = pair(table(set()), table(set()), pd.Series(dtype=object), 0.9, 10, seen=every)
    assert nothing.lines()[0].startswith("no head in the training of either has left")
    assert nothing.to_dict()["seen_by_earlier_heads"] == 18


def test_labels_are_those_of_the_later_version() -> None:
    after = table(set())
    after.loc[0, ["label", "predicted"]] = ["b", "b"]
    assert paired(table(set()), after).won == ("00.png",)
