"""The frozen part runs once per image, and a row never depends on its neighbours."""

import hashlib
import os
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from packed import packed_images

from headstart.errors import DeterminismError, ParamsError
from headstart.ground import runtime
from headstart.ground.settings import Precision
from headstart.pipeline.features import compute as computation
from headstart.pipeline.features.compute import Forward, Replica, write_features
from headstart.pipeline.features.feature_file import Features
from headstart.pipeline.features.frozen import run_frozen
from headstart.pipeline.features.size import check_size
from headstart.pipeline.network import checkpoint
from headstart.pipeline.network.modules import prefix_of
from headstart.pipeline.network.network import NetworkSpec, plan
from headstart.pipeline.network.vgg import vgg_layers
from headstart.pipeline.network.weights import random_tensors
from headstart.pipeline.pixels.packed import PackedImages
from headstart.pipeline.pixels.transforms import transform_of
from headstart.pipeline.store.rows import RowStore
from headstart.pipeline.store.store import FILE, Store

TRANSFORM = transform_of("vgg16", "IMAGENET1K_V1")
NETWORK = plan(NetworkSpec("vgg16", 4, "pooled", ("a", "b")))
RECIPE = "ab" * 32


def forward(precision: Precision = "fp32", batch_size: int = 4) -> list[Replica]:
    network = plan(NetworkSpec("vgg16", 4, "pooled", ("a", "b")))
    prefix = prefix_of(network)
    prefix.load(dict(random_tensors(vgg_layers("vgg16", 4), 0)))
    return Forward(prefix, TRANSFORM, precision, batch_size).prepared()


def packed(count: int, order: list[int] | None = None) -> tuple[PackedImages, list[str]]:
    pixels = np.random.default_rng(0).integers(0, 256, (count, 224, 224, 3), np.uint8)
    pixels = pixels[order] if order else pixels
    return packed_images(pixels), [hashlib.sha256(image.tobytes()).hexdigest() for image in pixels]


def compute(
    folder: Path,
    images: PackedImages,
    keys: list[str],
    store: RowStore,
    replicas: list[Replica] | None = None,
) -> tuple[bytes, int]:
    path = folder / "features.safetensors"
    with path.open("wb") as file:
        shape = (len(images), *NETWORK.feature_shape)
        writer = checkpoint.RowWriter(file, "features", shape, torch.float32, {})
        computed = write_features(replicas or forward(), images, keys, store, RECIPE, writer)
    return path.read_bytes(), computed


def test_rows_are_those_of_the_whole_network_cut_here(tmp_path: Path) -> None:
    images, keys = packed(6)
    with Store(tmp_path / "rows") as store:
        compute(tmp_path, images, keys, store)
    features = Features(tmp_path / "features.safetensors")
    normalised = (torch.from_numpy(images.rows(0, 6)).permute(0, 3, 1, 2).float() / 255).sub(
        torch.tensor(TRANSFORM.mean)[:, None, None]
    ) / torch.tensor(TRANSFORM.std)[:, None, None]
    with torch.inference_mode():
        expected = forward()[0].prefix(normalised)
    assert torch.allclose(features.rows(0, 6), expected, atol=1e-5)


def test_cold_warm_and_partly_warm_runs_give_the_same_bytes(tmp_path: Path) -> None:
    images, keys = packed(11)
    with Store(tmp_path / "cold") as store:
        cold, computed = compute(tmp_path, images, keys, store)
        assert computed == 11
        warm, computed = compute(tmp_path, images, keys, store)
        assert (warm, computed) == (cold, 0)
    with Store(tmp_path / "partly") as store:
        order = [7, 2, 9]
        compute(tmp_path, *packed(11, order), store)
        images, keys = packed(11)
        partly, computed = compute(tmp_path, images, keys, store)
        assert (partly, computed) == (cold, 8)


def test_shuffled_images_give_the_same_rows(tmp_path: Path) -> None:
    order = [3, 0, 4, 1, 2]
    with Store(tmp_path / "1") as store:
        compute(tmp_path, *packed(5), store)
    straight = Features(tmp_path / "features.safetensors").rows(0, 5)
    with Store(tmp_path / "2") as store:
        compute(tmp_path, *packed(5, order), store)
    assert torch.equal(Features(tmp_path / "features.safetensors").rows(0, 5), straight[order])


def test_the_same_picture_twice_is_computed_once(tmp_path: Path) -> None:
    images, keys = packed(3, [0, 1, 0])
    with Store(tmp_path / "rows") as store:
        _, computed = compute(tmp_path, images, keys, store)
    rows = Features(tmp_path / "features.safetensors").rows(0, 3)
    assert computed == 2
    assert torch.equal(rows[0], rows[2])


def test_a_stored_row_that_is_not_what_comes_out_again_stops_the_run(tmp_path: Path) -> None:
    images, keys = packed(3)
    with Store(tmp_path / "rows") as store:
        compute(tmp_path, images, keys, store)
        [row] = store.get(RECIPE, keys[1:2])
        assert row is not None
        store.put(RECIPE, {keys[1]: row[:-1] + bytes([row[-1] ^ 1])})
        with pytest.raises(DeterminismError, match=keys[1][:12]):
            compute(tmp_path, images, keys, store)


def test_damaged_rows_are_computed_again_and_give_the_same_bytes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    images, keys = packed(6)
    file = tmp_path / "rows" / FILE
    with Store(file.parent) as store:
        whole, _ = compute(tmp_path, images, keys, store)
    damaged = [keys[1], keys[5]]  # in the batch that is checked, and behind it
    with sqlite3.connect(file) as database:
        for key in damaged:
            database.execute(
                "UPDATE rows SET row = zeroblob(length(row)) WHERE hex(key) LIKE ?", (f"%{key}",)
            )
    database.close()
    with Store(file.parent) as store:
        assert compute(tmp_path, images, keys, store) == (whole, 2)
    for key in damaged:
        assert f"1 row is damaged in {file}: {key[:12]}..., computed again" in caplog.text
    os.truncate(file, file.stat().st_size // 2)
    with Store(file.parent) as store:
        again, computed = compute(tmp_path, images, keys, store)
    assert (again, computed > 0) == (whole, True)


class FewRows:
    """A store that keeps the last `most` rows."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._rows: dict[str, bytes] = {}

    def get(self, recipe: str, keys: Sequence[str]) -> list[bytes | None]:
        return [self._rows.get(key) for key in keys]

    def has(self, recipe: str, keys: Sequence[str]) -> list[bool]:
        return [key in self._rows for key in keys]

    def put(self, recipe: str, rows: Mapping[str, bytes], drops: bool = True) -> None:
        if drops or len(self._rows) + len(rows) <= self._most:
            both = [item for item in self._rows.items() if item[0] not in rows] + list(rows.items())
            self._rows = dict(both[-self._most :])


def test_a_store_that_is_too_small_loses_some_rows_and_not_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, keys = packed(20)
    monkeypatch.setattr(computation, "HELD_BYTES", 1)  # a batch is read at once
    whole, _ = compute(tmp_path, images, keys, FewRows(20))
    store = FewRows(17)
    assert compute(tmp_path, images, keys, store) == (whole, 20 + 3)
    for _ in range(3):
        assert compute(tmp_path, images, keys, store) == (whole, 3 + 3)


def test_several_devices_give_the_same_bytes(tmp_path: Path) -> None:
    images, keys = packed(11)
    with Store(tmp_path / "one") as store:
        alone, _ = compute(tmp_path, images, keys, store)
    with Store(tmp_path / "three") as store:
        together, computed = compute(tmp_path, images, keys, store, forward() + forward() + forward())
    assert (together, computed) == (alone, 11)


def test_few_images_at_a_time_give_the_rows_of_the_whole_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    prefix = prefix_of(plan(NetworkSpec("vgg16", 4, "linear", ("a", "b"))))
    prefix.load(dict(random_tensors(vgg_layers("vgg16", 4), 0)))
    batch = torch.randn(5, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    whole = prefix(batch.contiguous(memory_format=torch.channels_last))
    for images_at_once in (1, 2, 3, 5):
        monkeypatch.setattr(runtime, "CPU_IMAGES", images_at_once)
        torch.testing.assert_close(run_frozen(prefix, batch), whole)


def test_frozen_batch_norm_does_not_move_its_statistics(tmp_path: Path) -> None:
    network = plan(NetworkSpec("vgg16_bn", 4, "pooled", ("a", "b")))
    prefix = prefix_of(network)
    weights = dict(random_tensors(vgg_layers("vgg16_bn", 4), 0))
    prefix.load({name: tensor.clone() for name, tensor in weights.items()})
    [replica] = Forward(prefix, TRANSFORM, "fp32", 2).prepared()
    replica.start(torch.from_numpy(packed(2)[0].rows(0, 2)))()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in prefix.tensors().items())


def test_too_large_a_cut_is_refused_before_any_work() -> None:
    network = plan(NetworkSpec("vgg16", 64, "linear", ("a", "b")))
    assert check_size(network, 1000, "fp32", 1) == 4096 * 4 * 1000
    assert check_size(network, 1000, "bf16", 1) == 4096 * 2 * 1000
    with pytest.raises(ParamsError, match=r"classifier\.4 stores 16,384 bytes per image, 1\.6 GB.*bf16"):
        check_size(network, 100_000, "fp32", 1)


def test_bf16_without_hardware_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_has_bf16", lambda: False)
    with pytest.raises(ParamsError, match="precision: fp32"):
        forward("bf16")
