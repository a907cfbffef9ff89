"""Copies that a person takes for the same picture are found; different pictures of one place are not."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from headstart.pipeline.data.near_duplicates import HELD, Groups, Pair, near_duplicates
from headstart.pipeline.data.thumbnails import grey


def scene(seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """A blurred landscape of random blobs, unlike every other seed's."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (9, 12, 3)).astype(np.uint8))
    return coarse.resize(size, Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(4))


def encoded(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=40)
    return Image.open(file).convert("RGB")


def shifted(image: Image.Image, share: float) -> Image.Image:
    right, down = round(image.width * share), round(image.height * share)
    pixels = np.pad(np.asarray(image), ((down, 0), (right, 0), (0, 0)), mode="edge")
    return Image.fromarray(pixels[: image.height, : image.width])


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "encoded": encoded,
    "resized": lambda image: image.resize((150, 110)),
    "shifted by 3 %": lambda image: shifted(image, 0.03),
    "shifted by 6 %": lambda image: shifted(image, 0.06),
    "mirrored": ImageOps.mirror,
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.15),
    "mirrored and shifted": lambda image: shifted(ImageOps.mirror(image), 0.03),
}


def pairs_of(images: list[Image.Image]) -> list[Pair]:
    return near_duplicates(np.stack([grey(image) for image in images]))


@pytest.mark.parametrize("name", COPIES)
def test_copies_are_found(name: str) -> None:
    scenes = [scene(seed) for seed in range(40)]
    copies = [COPIES[name](image) for image in scenes[:15]]
    found = {(pair.first, pair.second): pair for pair in pairs_of([*scenes, *copies])}
    assert set(found) == {(place, 40 + place) for place in range(15)}
    assert {pair.mirrored for pair in found.values()} == {"mirrored" in name}


def test_different_things_before_one_background_are_not_alike() -> None:
    """A fixed camera: 90 % of each picture is the same."""
    background = scene(1000)
    images = []
    for seed in range(60):
        image = background.copy()
        image.paste(scene(seed, (90, 90)), (100, 70))
        images.append(image)
    assert pairs_of(images) == []
    copies = [encoded(image) for image in images[:10]]
    found = pairs_of([*images, *copies])
    assert {(pair.first, pair.second) for pair in found} == {(place, 60 + place) for place in range(10)}


def test_pictures_without_content_are_not_alike() -> None:
    assert pairs_of([Image.new("RGB", (50, 50), (shade,) * 3) for shade in (10, 10, 90, 200)]) == []


def test_pictures_without_content_are_not_alike_among_others_that_share_much() -> None:
    background = scene(1000)
    images = [Image.blend(background, scene(seed), 0.3) for seed in range(40)]
    flat = [Image.new("RGB", (50, 50), (shade,) * 3) for shade in (10, 90, 200)]
    assert pairs_of([*images, *flat]) == []


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    images = [scene(seed) for seed in range(30)] + [encoded(scene(seed)) for seed in range(0, 30, 3)]
    whole = pairs_of(images)
    monkeypatch.setattr("headstart.pipeline.data.near_duplicates.BLOCK_BYTES", 7 * 4 * HELD * len(images))
    assert pairs_of(images) == whole


def test_pairs_connect_to_groups() -> None:
    groups = Groups(8)
    for pair in ((1, 4), (4, 2), (5, 6)):
        groups.connect(*pair)
    assert [groups.root(place) for place in range(8)] == [0, 1, 1, 3, 1, 5, 5, 7]


def test_a_large_group_is_connected_without_all_its_pairs() -> None:
    one = scene(1)
    frames = [shifted(one, number / 3000) for number in range(60)]
    found = pairs_of([*frames, *(scene(seed) for seed in range(2, 92))])
    groups = Groups(150)
    for pair in found:
        groups.connect(pair.first, pair.second)
    assert [groups.root(place) for place in range(150)] == [0] * 60 + list(range(60, 150))
    assert len(found) < 60 * 59 / 2
