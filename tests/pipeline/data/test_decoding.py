"""Memory of decoding: one bound for all pictures at once, and for each; only known formats are opened."""

import io
import struct
import subprocess
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from decoder import Pixels
from PIL import GifImagePlugin, Image

from headstart.errors import DataError
from headstart.pipeline.data import decoding
from headstart.pipeline.data.decoding import decode, pixel_digest, problems_in, read_picture
from headstart.pipeline.data.formats import readable_formats
from headstart.pipeline.data.limits import ANY_PICTURE, Limits
from headstart.pipeline.data.listing import list_folder
from headstart.pipeline.data.manifest import inspect
from headstart.pipeline.data.pixel_budget import PixelBudget
from headstart.versions.serving.scoring import score

ONLY_PNG = Limits(("PNG",), ("RGB",), 1)


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def noise(width: int, height: int, mode: str = "RGB") -> Image.Image:
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 4), np.uint8)
    return Image.fromarray(pixels, "RGBA").convert(mode)


def claiming(width: int, height: int) -> bytes:
    """A small PNG whose header gives another size."""
    data = encoded(noise(4, 4))
    header = b"IHDR" + struct.pack(">II", width, height) + data[24:29]
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


class Watched(PixelBudget):
    """Remembers the most pixels that were held at once."""

    def __init__(self, pixels: int) -> None:
        super().__init__(pixels)
        self._count = threading.Lock()
        self.now = self.most = 0

    @contextmanager
    def held(self, pixels: int) -> Iterator[None]:
        with super().held(pixels):
            self._add(pixels)
            time.sleep(0.002)  # long enough for another thread to come in
            yield
            self._add(-pixels)

    def _add(self, pixels: int) -> None:
        with self._count:
            self.now += pixels
            self.most = max(self.most, self.now)


def test_a_picture_with_too_many_pixels_is_an_error_and_the_others_have_answers(tmp_path: Path) -> None:
    for name, data in (("huge.png", claiming(20_000, 20_000)), ("ok.png", encoded(noise(40, 40)))):
        (tmp_path / name).write_bytes(data)
    words = "(400000000 pixels), expected at most 178956970 pixels; make it smaller"
    assert words in inspect(claiming(20_000, 20_000))[0].error
    found = [answer for _, answer in score(sorted(tmp_path.iterdir()), Pixels())]
    assert words in str(found[0])
    assert isinstance(found[1], np.ndarray)


def test_pictures_in_flight_stay_within_the_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    budget = Watched(5000)
    monkeypatch.setattr(decoding, "IN_FLIGHT", budget)
    for number in range(12):
        (tmp_path / f"{number:02}.png").write_bytes(encoded(noise(40, 40 + number)))
    found = [answer for _, answer in score(sorted(tmp_path.iterdir()), Pixels())]
    assert all(isinstance(answer, np.ndarray) for answer in found)
    assert 40 * 51 < budget.most <= 5000  # several at once, but not too many
    assert budget.now == 0


def test_a_large_request_is_not_overtaken_by_small_ones() -> None:
    budget, order = PixelBudget(10), []
    waiting = threading.Event()

    def take(name: str, pixels: int) -> None:
        waiting.set()
        with budget.held(pixels):
            order.append(name)

    with budget.held(1):
        large = threading.Thread(target=take, args=("large", 10))
        large.start()
        waiting.wait()
        while not budget._turn.locked():
            time.sleep(0.001)
        small = threading.Thread(target=take, args=("small", 1))
        small.start()
        small.join(0.05)
        assert order == []
    for thread in (large, small):
        thread.join()
    assert order == ["large", "small"]


def test_more_than_the_whole_budget_is_refused_at_once() -> None:
    with (
        pytest.raises(ValueError, match="11 pixels are more than the budget of 10"),
        PixelBudget(10).held(11),
    ):
        pass


def test_pixels_are_given_back_with_the_block_and_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    budget = Watched(1600)
    monkeypatch.setattr(decoding, "IN_FLIGHT", budget)
    whole = encoded(noise(40, 40))
    with read_picture(whole) as picture:
        assert budget.now == 1600
    with pytest.raises(ValueError, match="closed image"):
        picture.rgb.tobytes()
    for data in (whole[: len(whole) // 2], whole):  # the second one would wait forever
        inspect(data)


def test_the_error_of_a_damaged_picture_does_not_keep_its_pixels() -> None:
    whole = encoded(noise(40, 40))
    with pytest.raises(DataError, match="truncated") as caught, read_picture(whole[: len(whole) // 2]):
        pass
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "1"])
def test_a_large_picture_is_converted_in_strips_with_the_same_result(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = encoded(noise(50, 41, mode))
    whole, thumbnail = inspect(data)
    monkeypatch.setattr(decoding, "STRIP_PIXELS", 300)
    assert inspect(data)[0] == whole
    assert (inspect(data)[1] == thumbnail).all()
    with read_picture(data) as picture:
        assert pixel_digest(picture.rgb) == whole.pixels


def test_the_decoder_of_a_format_that_is_not_allowed_never_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    gif = encoded(noise(40, 40), "GIF")
    monkeypatch.setattr(GifImagePlugin.GifImageFile, "load", lambda self: pytest.fail("decoded"))
    with (
        pytest.raises(DataError, match="^format is GIF, expected one of PNG; mode is"),
        decode(gif, ONLY_PNG),
    ):
        pass


def test_no_program_is_started_for_postscript_whatever_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a program was started"))
    for name in ("page.jpg", "page.eps", "page"):
        (tmp_path / name).write_bytes(encoded(noise(40, 40), "EPS"))
    assert not {"EPS", "WMF"} & {*readable_formats()}
    assert list_folder(tmp_path).images == ["page.jpg"]
    assert "not an image format" in inspect((tmp_path / "page.jpg").read_bytes())[0].error
    with pytest.raises(DataError, match="not an image format"):
        problems_in((tmp_path / "page.jpg").read_bytes(), ANY_PICTURE)
