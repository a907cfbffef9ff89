"""The one path from image bytes to pixels."""

import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from headstart.errors import DataError, ParamsError
from headstart.pipeline.data import decoding
from headstart.pipeline.data.limits import ANY_PICTURE
from headstart.pipeline.pixels import transforms

TRANSFORM = transforms.transform_of("vgg16", "IMAGENET1K_V1")


def decode(data: bytes) -> Image.Image:
    with decoding.decode(data, ANY_PICTURE) as rgb:
        return rgb.copy()


def picture(width: int, height: int, mode: str = "RGB", seed: int = 0) -> Image.Image:
    random = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(random).convert(mode)


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


@pytest.mark.parametrize("size", [(224, 224), (256, 256), (640, 480), (33, 400), (1000, 231), (40, 50)])
@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_packed_pixels_are_those_of_torchvisions_transform(size: tuple[int, int], form: str) -> None:
    data = encoded(picture(*size), form)
    image = Image.open(io.BytesIO(data)).convert("RGB")
    packed = transforms.pack(decode(data), TRANSFORM)
    assert packed.shape == (224, 224, 3)
    assert packed.dtype == np.uint8
    ours = transforms.normalise(torch.from_numpy(packed.copy())[None], TRANSFORM)[0]
    assert torch.equal(ours, TRANSFORM(image))


@pytest.mark.parametrize("size", [(1, 20_000), (200_000, 1), (32, 5_000), (3, 49)])
def test_of_a_thin_picture_only_the_middle_is_resized(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    resized: list[Image.Image] = []
    resize = transforms.F.resize

    def kept(*given: Any, **options: Any) -> Image.Image:
        resized.append(resize(*given, **options))
        return resized[-1]

    monkeypatch.setattr(transforms.F, "resize", kept)
    assert transforms.pack(picture(*size), TRANSFORM).shape == (224, 224, 3)
    assert resized[0].width * resized[0].height <= 17 * 256 * 256


@pytest.mark.parametrize("size", [(32, 600), (700, 32), (701, 32), (50, 1000), (1, 33)])
def test_the_middle_of_a_thin_picture_is_that_of_the_whole(size: tuple[int, int]) -> None:
    image = picture(*size)
    assert torch.equal(
        transforms.normalise(torch.from_numpy(transforms.pack(image, TRANSFORM).copy())[None], TRANSFORM)[0],
        TRANSFORM(image),
    )


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_turns_the_picture_upright(orientation: int) -> None:
    image = picture(48, 32)
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = decode(encoded(image, "PNG", exif=exif))
    turned = {
        1: image,
        2: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: image.transpose(Image.Transpose.ROTATE_180),
        4: image.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: image.transpose(Image.Transpose.TRANSPOSE),
        6: image.transpose(Image.Transpose.ROTATE_270),
        7: image.transpose(Image.Transpose.TRANSVERSE),
        8: image.transpose(Image.Transpose.ROTATE_90),
    }[orientation]
    assert upright.size == turned.size
    assert upright.tobytes() == turned.tobytes()


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_is_transparent_is_white(mode: str) -> None:
    clear = picture(20, 20).convert("RGBA")
    clear.putalpha(0)
    assert set(decode(encoded(clear.convert(mode), "PNG")).tobytes()) == {255}


def test_a_palette_with_a_transparent_colour_is_laid_on_white() -> None:
    image = Image.new("P", (10, 10), 3)
    image.putpalette([0, 0, 0] * 256)
    assert set(decode(encoded(image, "PNG", transparency=3)).tobytes()) == {255}


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK"])
def test_other_modes_become_rgb(mode: str) -> None:
    form = "JPEG" if mode == "CMYK" else "PNG"
    assert decode(encoded(picture(30, 30, mode), form)).mode == "RGB"


def test_the_digest_tells_pictures_apart_and_not_files() -> None:
    image = picture(30, 20)
    digest = decoding.pixel_digest(decode(encoded(image, "PNG")))
    assert digest == decoding.pixel_digest(decode(encoded(image, "BMP")))
    assert digest != decoding.pixel_digest(decode(encoded(picture(30, 20, seed=1), "PNG")))
    black = Image.new("RGB", (10, 20)), Image.new("RGB", (20, 10))
    assert decoding.pixel_digest(black[0]) != decoding.pixel_digest(black[1])


@pytest.mark.parametrize("data", [b"", b"not an image", encoded(picture(64, 64), "JPEG")[:900]])
def test_what_cannot_be_decoded_is_an_error(data: bytes) -> None:
    with pytest.raises(DataError, match="cannot be decoded"):
        decode(data)


def test_unknown_weights_name_the_known_ones() -> None:
    with pytest.raises(ParamsError, match=r"IMAGENET9.*IMAGENET1K_V1"):
        transforms.transform_of("vgg16", "IMAGENET9")
