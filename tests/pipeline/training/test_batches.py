"""The batches of an epoch, in random order."""

import math
from pathlib import Path

import pytest
import torch
from problems import features_file

from headstart.ground import runtime
from headstart.pipeline.features.examples import LabelledRows
from headstart.pipeline.features.feature_file import Features, Views, batches
from headstart.pipeline.network import checkpoint
from headstart.pipeline.training import batches as training_batches
from headstart.pipeline.training.batches import joined, shuffled, steps_per_epoch


@pytest.mark.parametrize("window", [1, 64 * 4 * 8 * 3, 2**30])
@pytest.mark.parametrize("count", [5, 64, 300])
def test_every_row_comes_once_an_epoch_with_its_label(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, window: int, count: int
) -> None:
    monkeypatch.setattr(training_batches, "WINDOW_BYTES", window)
    features = features_file(tmp_path, torch.arange(float(count + 10))[:, None].expand(-1, 8).contiguous())
    rows = LabelledRows(range(7, 7 + count), torch.arange(7, 7 + count))
    order = runtime.generator(0)
    epochs = [list(shuffled(features, rows, 16, order)) for _ in range(2)]
    for drawn in epochs:
        assert [len(data) for data, _ in drawn[:-1]] == [16] * (len(drawn) - 1)
        assert len(drawn) == math.ceil(count / 16)
        data = torch.cat([data[:, 0] for data, _ in drawn])
        labels = torch.cat([labels for _, labels in drawn])
        assert torch.equal(data.long(), labels)
        assert torch.equal(labels.sort().values, rows.labels)
    seen = [torch.cat([labels for _, labels in drawn]) for drawn in epochs]
    assert not torch.equal(seen[0], seen[1])


def test_views_are_drawn_anew_each_epoch(tmp_path: Path) -> None:
    """Row r of view v holds the number 100 v + r."""
    place = Views(count=3, first=10, rows=80, offset=100, seed=0)
    rows = torch.cat([torch.arange(100.0), 100 + torch.arange(10.0, 90.0), 200 + torch.arange(10.0, 90.0)])
    checkpoint.save(tmp_path / "f", {"features": rows[:, None]}, {"views": place.to_dict()})
    features = Features(tmp_path / "f")
    assert features.views == 3
    split = LabelledRows(range(10, 90), torch.arange(10, 90))
    order = runtime.generator(0)
    epochs = []
    for _ in range(30):
        drawn = list(shuffled(features, split, 16, order))
        data, labels = torch.cat([d[:, 0] for d, _ in drawn]).long(), torch.cat([n for _, n in drawn])
        assert torch.equal(data % 100, labels)
        epochs.append(data[labels.argsort()] // 100)
    shares = torch.bincount(torch.cat(epochs), minlength=3) / (30 * 80)
    assert (shares - 1 / 3).abs().max() < 0.05
    assert not torch.equal(epochs[0], epochs[1])
    assert [part.tolist() for _, part in batches(features, range(88, 92), 2)] == [[[88], [89]], [[90], [91]]]


@pytest.mark.parametrize(
    ("rows", "least", "sizes"),
    [
        (33, 1, [16, 16, 1]),
        (33, 2, [16, 17]),
        (34, 2, [16, 16, 2]),
        (32, 2, [16, 16]),
        (17, 2, [17]),
        (1, 2, [1]),
    ],
)
def test_a_short_last_batch_joins_the_one_before(rows: int, least: int, sizes: list[int]) -> None:
    numbers = torch.arange(float(rows))
    drawn = zip(numbers.split(16), numbers.split(16), strict=True)
    found = list(joined(drawn, least))
    assert [len(labels) for _, labels in found] == sizes
    assert torch.cat([data for data, _ in found]).tolist() == numbers.tolist()
    assert steps_per_epoch(rows, 16, least) == len(sizes)
