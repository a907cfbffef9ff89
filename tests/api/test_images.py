"""Pictures that a caller gives: each is read in one way only, and anything else is refused with advice."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from headstart.api.images import as_list
from headstart.errors import ArgumentError, HeadstartError

ARRAY = np.arange(40 * 50 * 3, dtype=np.uint8).reshape(40, 50, 3)


@pytest.mark.parametrize(
    "images",
    ["a.png", Path("a.png"), b"bytes", ARRAY, ARRAY[..., 0], Image.fromarray(ARRAY)],
    ids=["text", "path", "bytes", "colour", "grey", "pillow"],
)
def test_one_picture_is_a_list_of_one(images: object) -> None:
    [found] = as_list(images)  # type: ignore[arg-type]
    assert found is images


@pytest.mark.parametrize("count", [0, 1, 3])
def test_several_pictures_come_in_their_order(count: int) -> None:
    names = [f"{number}.png" for number in range(count)]
    assert as_list(names) == as_list(iter(names)) == as_list(pd.Series(names, dtype=object)) == names
    stack = (
        np.stack([ARRAY + number for number in range(count)]) if count else np.empty((0, 4, 4, 3), np.uint8)
    )
    for found, expected in zip(as_list(stack), stack, strict=True):
        assert np.array_equal(np.asarray(found), expected)


@pytest.mark.parametrize(
    ("image", "advice"),
    [
        (ARRAY / 255, r"float64 \[40, 50, 3\]; expected uint8.* \(255 \* array\)"),
        (ARRAY.astype(np.float32), r"float32 .* \(255 \* array\)"),
        (ARRAY.astype(np.int64), r"int64 .*array\.astype\('uint8'\)$"),
        (ARRAY > 3, r"bool .*For a mask"),
        (np.zeros((40, 50, 4), np.uint8), r"\[40, 50, 4\]; expected \[H, W, 3\].*array\[\.\.\., :3\]"),
        (np.zeros((40, 50, 1), np.uint8), r"array\[\.\.\., 0\]"),
        (np.zeros((3, 40, 50), np.uint8), r"array\.transpose\(1, 2, 0\)"),
        (
            np.zeros((2, 40, 50), np.uint8),
            r"\[2, 40, 50\]; expected \[H, W, 3\] in the order red, green, blue",
        ),
        (np.zeros(5, np.uint8), r"\[5\]; expected"),
        (np.zeros((0, 5, 3), np.uint8), "no pixels"),
        ([ARRAY, ARRAY / 255], "image 1 is an array float64"),
        (np.zeros((2, 4, 5, 4), np.uint8), r"image 0 is an array uint8 \[4, 5, 4\]"),
        (["a.png", None], "image 1 is None; expected a path"),
        ([torch.zeros(3, 4, 5)], r"type Tensor: give its array, with \.cpu\(\)\.numpy\(\)"),
        (pd.DataFrame({"path": ["a.png"]}), r"a DataFrame is not a list of images; .*table\['path'\]"),
        ({"a.png": 1}, "a dict is not a list of images"),
        (np.array(["a.png", "b.png"]), r"array <U5 \[2\]; .*array\.tolist\(\)"),
        (np.array([Path("a.png")], dtype=object), r"array object .*array\.tolist\(\)"),
        (io.BytesIO(b"bytes"), r"the image is a value of type BytesIO: give its bytes, with \.read\(\)"),
        ([b"bytes", io.BufferedReader(io.BytesIO())], r"image 1 .*BufferedReader: give its bytes"),  # type: ignore[arg-type]
        (io.StringIO("a.png"), r"opened as text: open it in mode 'rb'"),
        (5, "type int is not an image"),
        (None, "None is not an image"),
    ],
)
def test_anything_else_is_refused_with_advice(image: object, advice: str) -> None:
    with pytest.raises(ArgumentError, match=advice) as refused:
        as_list(image)  # type: ignore[arg-type]
    assert isinstance(refused.value, ValueError)
    assert isinstance(refused.value, HeadstartError)
