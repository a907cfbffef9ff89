import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sklearn.base import ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from headstart.errors import DataError
from headstart.ground.settings import SPLITS
from headstart.pipeline.data.decoding import decode, pixel_digest
from headstart.pipeline.data.limits import ANY_PICTURE
from headstart.pipeline.data.splits import split_of
from headstart.sources import sample

FIRST_OF_EACH = "c61a26db01d712a0bab765d19f7762935a8b6a50ba204f89dc108513823fe653"
WHOLE_SET = "533731fc709de700a198da84db5ec71bbf5d34d3c7703e259d46908e05e4196a"
CHANCE_BOUND = 0.65


def digest(paths: list[Path]) -> str:
    """SHA-256 over the class folder, name and bytes of each file, in order."""
    total = hashlib.sha256()
    for path in paths:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.parent.name}/{path.name} {content}\n".encode())
    return total.hexdigest()


def images(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*.png"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The default set, 106 MB; removed at the end, since pytest keeps the folders of three runs."""
    folder = tmp_path_factory.mktemp("sample") / "images"
    sample.draw_sample(folder)
    yield folder
    shutil.rmtree(folder)


@dataclass(frozen=True)
class Table:
    """One row per image: trivial features, class number, split."""

    features: NDArray[np.float64]
    labels: NDArray[np.int64]
    splits: NDArray[np.str_]


def opened_upright(path: Path) -> Image.Image:
    with decode(path.read_bytes(), ANY_PICTURE) as picture:
        return picture.copy()


@pytest.fixture(scope="module")
def table(whole: Path) -> Table:
    paths = images(whole)
    opened = [opened_upright(path) for path in paths]
    fractions = {"train": 0.6, "val": 0.2, "test": 0.2}
    return Table(
        np.array(
            [
                [path.stat().st_size, *trivial_features(image)]
                for path, image in zip(paths, opened, strict=True)
            ]
        ),
        np.array([sample.LABELS.index(path.parent.name) for path in paths]),
        np.array([split_of(pixel_digest(image), fractions, seed=0) for image in opened]),
    )


def trivial_features(image: Image.Image) -> list[float]:
    pixels = np.asarray(image, dtype=np.float64)
    grey = pixels.mean(axis=2)
    return [
        image.width,
        image.height,
        image.width / image.height,
        grey.mean(),
        grey.std(),
        grey.min(),
        grey.max(),
        *pixels.mean(axis=(0, 1)),
        *pixels.std(axis=(0, 1)),
    ]


def test_first_images_are_the_known_bytes(tmp_path: Path) -> None:
    sample.draw_sample(tmp_path / "images", images_per_class=3)
    assert digest(images(tmp_path / "images")) == FIRST_OF_EACH


def test_whole_set_is_the_known_bytes(whole: Path) -> None:
    paths = images(whole)
    assert [len([p for p in paths if p.parent.name == label]) for label in sample.LABELS] == [240] * 2
    assert digest(paths) == WHOLE_SET
    assert sum(path.stat().st_size for path in paths) < 130e6


def test_more_images_leave_the_others_as_they_are(whole: Path) -> None:
    first = [path for path in images(whole) if int(path.stem) < 3]
    assert digest(first) == FIRST_OF_EACH


def test_images_are_rgb_of_differing_sizes_and_content(whole: Path) -> None:
    sizes, digests = set(), set()
    for path in images(whole):
        with Image.open(path) as image:
            assert (image.format, image.mode) == ("PNG", "RGB")
            assert not image.info
            assert all(224 <= side <= 320 for side in image.size)
            sizes.add(image.size)
            digests.add(pixel_digest(image))
    assert len(sizes) > 400
    assert len(digests) == 480


@pytest.mark.parametrize(
    "classifier",
    [
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
        RandomForestClassifier(n_estimators=100, random_state=0),
    ],
    ids=["logistic regression", "random forest"],
)
def test_trivial_features_do_not_tell_the_classes_apart(table: Table, classifier: ClassifierMixin) -> None:
    train, test = table.splits == "train", table.splits == "test"
    classifier.fit(table.features[train], table.labels[train])
    assert classifier.score(table.features[test], table.labels[test]) < CHANCE_BOUND


def test_every_class_is_in_every_split(table: Table) -> None:
    counts = {split: np.bincount(table.labels[table.splits == split]).tolist() for split in SPLITS}
    assert counts == {"train": [148, 135], "val": [43, 62], "test": [49, 43]}


def test_every_image_is_reported(tmp_path: Path) -> None:
    reports: list[tuple[int, int]] = []
    sample.draw_sample(tmp_path / "images", images_per_class=2, report=lambda *done: reports.append(done))
    assert reports == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_refuses_a_folder_in_use(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match=f"{tmp_path} exists and is not an empty folder; move"):
        sample.draw_sample(tmp_path, images_per_class=1)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_refuses_a_file(tmp_path: Path) -> None:
    (tmp_path / "images").write_text("mine")
    with pytest.raises(DataError, match="not an empty folder"):
        sample.draw_sample(tmp_path / "images", images_per_class=1)


def test_refuses_to_draw_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="0 is too few"):
        sample.draw_sample(tmp_path / "images", images_per_class=0)
    assert not list(tmp_path.iterdir())


def test_draws_into_an_empty_folder(tmp_path: Path) -> None:
    sample.draw_sample(tmp_path, images_per_class=1)
    assert [path.parent.name for path in images(tmp_path)] == ["ok", "scratch"]


def test_makes_the_parents_of_its_folder(tmp_path: Path) -> None:
    sample.draw_sample(tmp_path / "deep" / "images", images_per_class=1)
    assert [path.parent.name for path in images(tmp_path / "deep" / "images")] == ["ok", "scratch"]


def test_leaves_nothing_half_drawn(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sample.draw_sample(tmp_path / "images", images_per_class=2, report=stop)
    assert not list(tmp_path.iterdir())
