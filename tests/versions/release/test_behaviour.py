"""Pictures are changed exactly as described, and no more."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headstart.pipeline.data.limits import ANY_PICTURE, Limits
from headstart.versions.release.behaviour import BRIGHTNESS, CHANGES, write_changed


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    pixels = np.full((60, 100, 3), 100, np.uint8)
    pixels[10:30, 10:30] = 200
    path = tmp_path / "picture.png"
    Image.fromarray(pixels).save(path)
    return path


def changed(picture: Path, name: str, folder: Path) -> list[np.ndarray]:
    found = [
        np.asarray(Image.open(path), np.float64)
        for _, path in write_changed(picture, [name], folder, ANY_PICTURE)
    ]
    assert all(image.shape == (60, 100, 3) for image in found)
    return found


def test_each_change(picture: Path, tmp_path: Path) -> None:
    before = np.asarray(Image.open(picture), np.float64)
    [mirrored] = changed(picture, "mirror", tmp_path)
    assert (mirrored == before[:, ::-1]).all()
    darker, brighter = changed(picture, "brightness", tmp_path)
    assert abs(darker - before * (1 - BRIGHTNESS)).max() <= 1
    assert abs(brighter - before * (1 + BRIGHTNESS)).max() <= 1
    [shifted] = changed(picture, "shift", tmp_path)
    assert (shifted[2:, 3:] == before[:-2, :-3]).all()
    [encoded] = changed(picture, "encoding", tmp_path)
    assert 0 < abs(encoded - before).mean() < 5


def test_all_changes_at_once(picture: Path, tmp_path: Path) -> None:
    names = [name for name, _ in write_changed(picture, list(CHANGES), tmp_path, ANY_PICTURE)]
    assert names == ["mirror", "brightness", "brightness", "shift", "encoding"]


@pytest.mark.parametrize(
    ("formats", "modes", "expected"),
    [
        (("JPEG",), ("RGB",), {"JPEG"}),
        (("WEBP", "TIFF"), ("L",), {"TIFF"}),
        (("TIFF",), ("RGB",), {"TIFF"}),
        (("PNG",), ("CMYK",), set()),
        (("GIF",), ("P",), set()),
    ],
)
def test_changed_pictures_are_within_the_limits(
    picture: Path, tmp_path: Path, formats: tuple[str, ...], modes: tuple[str, ...], expected: set[str]
) -> None:
    written = write_changed(picture, list(CHANGES), tmp_path, Limits(formats, modes, 1))
    found = [Image.open(path) for _, path in written]
    assert {image.format for image in found} == expected
    assert {image.mode for image in found} <= set(modes)
    assert ("encoding" in dict(written)) == ("JPEG" in expected)
