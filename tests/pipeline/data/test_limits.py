"""One set of rules at every door: what validation refuses, the decoder refuses in the same words."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sections import section

from headstart.errors import DataError
from headstart.pipeline.data.decoding import decode
from headstart.pipeline.data.expectations import check_files
from headstart.pipeline.data.limits import ANY_PICTURE, Limits
from headstart.pipeline.data.manifest import inspect

GREY = np.linspace(0, 65535, 48 * 40).reshape(40, 48).astype(np.uint16)
FRAMES = [Image.new("RGB", (40, 40), (shade, 0, 0)) for shade in (10, 200)]


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def several(form: str) -> bytes:
    return saved(FRAMES[0], form, save_all=True, append_images=FRAMES[1:])


REFUSED = {
    "float.tiff": saved(Image.fromarray(GREY.astype(np.float32)), "TIFF"),
    "integers.tiff": saved(Image.fromarray(GREY.astype(np.int32)), "TIFF"),
    "animated.png": several("PNG"),
    "animated.webp": several("WEBP"),
    "animated.gif": several("GIF"),
    "pages.tiff": several("TIFF"),
    "one.gif": saved(FRAMES[0], "GIF"),
    "small.png": saved(Image.new("RGB", (20, 90)), "PNG"),
    "turned.jpg": saved(
        Image.new("RGB", (20, 90)),
        "JPEG",
        exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00",
    ),
    "text.jpg": b"not an image",
    "nothing.jpg": b"",
    "cut.png": saved(Image.fromarray(GREY), "PNG")[:300],
    "page.eps": saved(FRAMES[0], "EPS"),
    "drawing.svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
}
ACCEPTED = {
    "grey.png": saved(Image.fromarray(GREY), "PNG"),
    "grey.tiff": saved(Image.fromarray(GREY), "TIFF"),
    "plain.jpg": saved(FRAMES[0], "JPEG"),
    "stereo.mpo": several("MPO"),
    "palette.png": saved(FRAMES[0].convert("P"), "PNG"),
}


def reasons(files: dict[str, bytes]) -> dict[str, str]:
    """The reasons of validation, by name."""
    rows = [{"path": name, "label": "a", **vars(inspect(data)[0])} for name, data in files.items()]
    return check_files(pd.DataFrame(rows), section("validate")).failures


def answer(data: bytes) -> str:
    """The decoder's error; empty if it answers."""
    try:
        with decode(data, Limits.of(section("validate"))):
            return ""
    except DataError as error:
        return str(error)


def test_every_door_refuses_in_the_words_of_validation() -> None:
    found = reasons(REFUSED | ACCEPTED)
    assert set(found) == set(REFUSED)
    assert {name: answer(data) for name, data in REFUSED.items()} == found
    assert {name: answer(data) for name, data in ACCEPTED.items()} == dict.fromkeys(ACCEPTED, "")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("float.tiff", "mode is F, expected one of 1, L, LA"),
        ("integers.tiff", "mode is I, expected one of"),
        ("animated.png", "holds 2 frames, expected 1"),
        ("small.png", "width is 20 pixels, expected at least 32"),
        ("turned.jpg", "height is 20 pixels, expected at least 32"),
        ("page.eps", "cannot be decoded: not an image format that Headstart reads"),
    ],
)
def test_the_reason_names_what_was_expected(name: str, words: str) -> None:
    assert words in answer(REFUSED[name])


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_to_8_bits(form: str) -> None:
    """Held against the rounded quotient in floats."""
    with decode(saved(Image.fromarray(GREY), form), ANY_PICTURE) as picture:
        rgb = np.array(picture)
    assert rgb.shape == (40, 48, 3)
    assert (rgb == np.rint(GREY / 257)[:, :, None]).all()
    assert (rgb.min(), rgb.max()) == (0, 255)


def test_limits_that_a_head_carries_are_those_of_training() -> None:
    limits = Limits.of(section("validate", min_size=48, formats=["PNG"]))
    assert Limits.in_head({"limits": limits.as_dict()}) == limits
    assert Limits.in_head({}) == ANY_PICTURE
    words = "format is JPEG, expected one of PNG; width is 40 pixels"
    with pytest.raises(DataError, match=words), decode(ACCEPTED["plain.jpg"], limits):
        pass


def test_a_mode_without_a_known_range_cannot_be_allowed() -> None:
    with pytest.raises(ValueError, match="F, I cannot be read as 8-bit RGB; expected 1, L"):
        section("validate", modes=["RGB", "I", "F"])
