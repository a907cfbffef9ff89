"""Requests with too many values are refused before these are built: a list takes 20 times its text."""

import io

import pandas as pd

from headstart.errors import ArgumentError

PER_IMAGE = 16  # commas between and in the values of an image
SPARE = 1000


def check_values(body: bytes, most: int) -> None:
    """Check a text of JSON or CSV by its commas, of which Base64 has none.

    Args:
        most: images that the request may have.

    Raises:
        ArgumentError: it holds more values than as many images need.
    """
    if (found := body.count(b",")) > PER_IMAGE * most + SPARE:
        raise ArgumentError(
            f"the request has {found} commas, so it holds more than {most} images; send it in parts"
        )


def check_rows(body: bytes, most: int) -> None:
    """Check a text of CSV, whose rows may be short.

    Raises:
        ArgumentError: it has more than `most` rows.
    """
    if body.count(b"\n") + body.count(b"\r") <= most:
        return
    try:
        rows = len(pd.read_csv(io.BytesIO(body), nrows=most + 1, dtype=object))
    except ValueError:
        return  # MLflow words the error
    if rows > most:
        raise ArgumentError(f"the request has more than {most} rows; send it in parts")
