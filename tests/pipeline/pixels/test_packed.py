"""Packed pixels are a cache: what is missing is made again from the files, and is the same or an error."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from projects import draw_images

from headstart.errors import ArgumentError, DamagedFile, DataError, DeterminismError
from headstart.ground import paths
from headstart.ground.paths import cache_folder
from headstart.pipeline.data.settings import Data, Split, Validate
from headstart.pipeline.data.stage import run as validate
from headstart.pipeline.network.settings import Backbone
from headstart.pipeline.pixels import packed
from headstart.pipeline.pixels.packed import PackedImages
from headstart.pipeline.pixels.settings import Preprocess
from headstart.pipeline.pixels.stage import run as preprocess
from headstart.pipeline.pixels.transforms import pack, transform_of


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """The packed images of a data folder, which is below the working folder."""
    monkeypatch.chdir(tmp_path)
    draw_images(Path("data"), {"dark": 10, "light": 10})
    return listed()


def listed() -> pd.DataFrame:
    Path("requirements.lock").touch()
    run()
    return pd.read_parquet(paths.IMAGE_TABLE)


def run() -> str:
    validate(Data(), Validate(near_duplicates="ignore"), Split())
    return preprocess(Backbone(), Preprocess())


def test_rows_are_what_torchvisions_transform_makes(table: pd.DataFrame) -> None:
    found = PackedImages(table).rows(3, 6)
    transform = transform_of("vgg16", "IMAGENET1K_V1")
    for row, path in zip(found, table["path"].iloc[3:6], strict=True):
        assert np.array_equal(row, pack(Image.open(paths.DATA / path).convert("RGB"), transform))
    assert found.flags.writeable


@pytest.mark.parametrize("window", [1, 3, 64])
def test_pixels_that_the_store_lacks_are_made_again(
    table: pd.DataFrame, window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed, "WINDOW", window)
    before = PackedImages(table).rows(0, len(table))
    shutil.rmtree(cache_folder())
    assert np.array_equal(PackedImages(table).rows(2, 9), before[2:9])
    images = PackedImages(table)
    assert np.array_equal(images.rows(0, len(table)), before)
    shutil.rmtree(paths.DATA)  # now the store has them all
    assert np.array_equal(images.rows(0, len(table)), before)


def test_only_new_pictures_are_decoded_and_other_rows_stay(table: pd.DataFrame) -> None:
    Image.open("data/dark/000.png").rotate(90).save("data/dark/new.png")
    shutil.copy("data/dark/000.png", "data/dark/copy.png")
    assert "1 decoded now" in run()
    after = pd.read_parquet(paths.IMAGE_TABLE).set_index("path")["packed"]
    assert after.loc[table["path"]].tolist() == table["packed"].tolist()


def test_a_store_that_lost_pixels_alone_decodes_nothing_in_preprocess(table: pd.DataFrame) -> None:
    (cache_folder() / packed.FILE).unlink()
    assert "0 decoded now" in preprocess(Backbone(), Preprocess())
    assert len(PackedImages(table).rows(0, 2)) == 2


def test_the_pixels_held_are_bounded_and_the_others_are_made_again(
    table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = PackedImages(table).rows(0, len(table))
    (cache_folder() / packed.FILE).unlink()
    monkeypatch.setenv(packed.SETTING, "0.001")  # six images
    monkeypatch.setattr(packed, "WINDOW", 2)
    assert np.array_equal(PackedImages(table).rows(0, len(table)), before)
    assert np.array_equal(PackedImages(table).rows(0, len(table)), before)
    assert (cache_folder() / packed.FILE).stat().st_size < 2e6 < before.nbytes


@pytest.mark.parametrize("given", ["many", "0", "-1", "inf", "nan"])
def test_a_bound_that_is_no_size_is_named(
    table: pd.DataFrame, given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(packed.SETTING, given)
    with pytest.raises(ArgumentError, match=f"HEADSTART_PIXELS_GB is '{given}'; expected gigabytes"):
        PackedImages(table).rows(0, 1)


@pytest.mark.parametrize(("harm", "reason"), [(Path.unlink, "cannot read"), (Path.touch, "")])
def test_a_file_that_is_gone_is_named_with_what_restores_it(
    table: pd.DataFrame, harm: object, reason: str
) -> None:
    shutil.rmtree(cache_folder())
    path = paths.DATA / table["path"].iloc[0]
    assert callable(harm)
    harm(path)
    if not reason:  # its time alone has changed
        assert len(PackedImages(table).rows(0, 1)) == 1
        return
    with pytest.raises(DataError, match=rf"{reason} {path}: .*`dvc checkout data` restores it"):
        PackedImages(table).rows(0, 1)


def test_a_file_that_changed_is_named(table: pd.DataFrame) -> None:
    shutil.rmtree(cache_folder())
    path = paths.DATA / table["path"].iloc[0]
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(DataError, match=f"{path} changed after it was validated"):
        PackedImages(table).rows(0, 1)


def test_pixels_that_another_machine_packed_otherwise_are_an_error(table: pd.DataFrame) -> None:
    shutil.rmtree(cache_folder())
    table.loc[0, "packed"] = "ab" * 32
    with pytest.raises(
        DeterminismError, match=rf"{table['path'][0]}, packed again, has pixels .* abababababab"
    ):
        PackedImages(table).rows(0, 1)


def test_a_table_of_an_earlier_version_is_named(table: pd.DataFrame) -> None:
    for damaged in (table.drop(columns="packed"), pd.DataFrame(table.to_dict())):
        with pytest.raises(DamagedFile, match=r"images\.parquet.*`dvc repro` makes it again"):
            PackedImages(damaged)
