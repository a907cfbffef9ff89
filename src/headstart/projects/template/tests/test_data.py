"""Your checks of the data. They read what the stages wrote: run `dvc repro` first, then `make test`."""

import pandas as pd
import pytest

SPLITS = ("train", "val", "test")


@pytest.fixture(scope="module")
def images() -> pd.DataFrame:
    """The images that are used: one row each, with `path`, `label`, `split` and `pixels`, their digest."""
    manifest = pd.read_parquet("artifacts/manifest.parquet")
    return manifest[manifest["split"].isin(SPLITS)]


def test_every_class_has_images_in_every_split(images: pd.DataFrame) -> None:
    counts = (
        images.groupby(["label", "split"]).size().unstack(fill_value=0).reindex(columns=SPLITS, fill_value=0)
    )
    assert (counts > 0).all().all(), f"a class lacks images in a split:\n{counts}"


def test_no_picture_is_in_two_splits(images: pd.DataFrame) -> None:
    splits = images.groupby("pixels")["split"].nunique()
    twice = images[images["pixels"].isin(splits[splits > 1].index)]
    assert twice.empty, f"the same picture is in two splits:\n{twice[['path', 'split']]}"
