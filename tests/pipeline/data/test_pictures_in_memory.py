"""A picture that a program holds is decoded by the rules of a file, and stays as it was."""

import io
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngImageFile

from headstart.errors import DataError
from headstart.pipeline.data.decoding import LOADING, decode, decode_image
from headstart.pipeline.data.limits import ANY_PICTURE, Limits

ARRAY = np.arange(40 * 50 * 3, dtype=np.uint8).reshape(40, 50, 3)


def test_a_picture_in_memory_has_the_pixels_of_its_file(tmp_path: Path) -> None:
    for name, mode in {"a.png": "RGB", "b.png": "RGBA", "c.png": "LA", "d.png": "P", "e.jpg": "CMYK"}.items():
        Image.fromarray(ARRAY).convert(mode).save(tmp_path / name)
    turned = Image.Exif()
    turned[274] = 6
    Image.fromarray(ARRAY).save(tmp_path / "f.jpg", exif=turned)
    Image.fromarray(ARRAY).save(tmp_path / "g.tif", exif=turned)
    Image.fromarray(ARRAY[..., 0].astype(np.uint16) * 257).save(tmp_path / "h.png")
    for path in sorted(tmp_path.iterdir()):
        opened = Image.open(path)
        before = opened.size
        with decode(path.read_bytes(), ANY_PICTURE) as expected, decode_image(opened, ANY_PICTURE) as found:
            assert np.array_equal(np.asarray(found), np.asarray(expected)), path.name
            assert found.size == (before[::-1] if path.name == "f.jpg" else expected.size), path.name
        if path.suffix != ".tif":  # Pillow turns it when it is loaded
            assert opened.size == before, path.name
        assert np.asarray(opened).size, path.name


def test_the_callers_picture_stays_open() -> None:
    picture = Image.fromarray(ARRAY)
    for _ in range(2):
        with decode_image(picture, ANY_PICTURE) as found:
            assert np.array_equal(np.asarray(found), ARRAY)


def test_a_turned_picture_is_upright_for_every_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even while another thread has only begun to parse its orientation."""
    turned, file = Image.Exif(), io.BytesIO()
    turned[ExifTags.Base.Orientation] = 6
    Image.fromarray(ARRAY).save(file, "PNG", exif=turned)
    parse = Image.Exif.load

    def slowly(exif: Image.Exif, data: bytes) -> None:
        time.sleep(0.05)
        parse(exif, data)

    monkeypatch.setattr(Image.Exif, "load", slowly)
    picture = Image.open(file)

    def size(_: int) -> tuple[int, int]:
        with decode_image(picture, ANY_PICTURE) as found:
            return found.size

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(size, range(8))) == {(40, 50)}


def test_two_pictures_are_decoded_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(ARRAY).save(tmp_path / "a.png")
    both, load = threading.Barrier(2, timeout=10), PngImageFile.load

    def together(picture: PngImageFile) -> object:
        if picture.fp is not None:  # once per picture
            both.wait()
        return load(picture)

    monkeypatch.setattr(PngImageFile, "load", together)

    def pixels(picture: Image.Image) -> np.ndarray:
        with decode_image(picture, ANY_PICTURE) as found:
            return np.asarray(found)

    with ThreadPoolExecutor(2) as pool:
        for found in pool.map(pixels, [Image.open(tmp_path / "a.png") for _ in range(2)]):
            assert np.array_equal(found, ARRAY)
    assert not LOADING


@pytest.mark.parametrize(
    ("limits", "picture", "reason"),
    [
        (Limits(("PNG",), ("RGB",), 41), Image.fromarray(ARRAY), "height is 40 pixels, expected at least 41"),
        (Limits(("PNG",), ("RGB",), 1), Image.fromarray(ARRAY[..., 0]), "mode is L, expected one of RGB"),
        (ANY_PICTURE, Image.fromarray(ARRAY[..., 0].astype(np.float32)), "mode is F"),
        (ANY_PICTURE, Image.new("1", (20_000, 10_000)), "has 200000000 pixels"),
    ],
    ids=["small", "mode", "float", "large"],
)
def test_limits_hold_for_pictures_in_memory(limits: Limits, picture: Image.Image, reason: str) -> None:
    with pytest.raises(DataError, match=reason), decode_image(picture, limits):
        pass


def test_a_picture_from_a_file_keeps_its_format(tmp_path: Path) -> None:
    Image.fromarray(ARRAY).save(tmp_path / "a.bmp")
    limits = Limits(("PNG",), ("RGB",), 1)
    with (
        Image.open(tmp_path / "a.bmp") as opened,
        pytest.raises(DataError, match="format is BMP, expected one of PNG"),
        decode_image(opened, limits),
    ):
        pass
    with decode_image(Image.fromarray(ARRAY), limits) as found:
        assert found.size == (50, 40)


def test_a_picture_that_pillow_cannot_load_is_an_error_of_ours(tmp_path: Path) -> None:
    Image.fromarray(ARRAY).save(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:200])
    with (
        Image.open(tmp_path / "a.png") as opened,
        pytest.raises(DataError, match="cannot be decoded"),
        decode_image(opened, ANY_PICTURE),
    ):
        pass
