"""The time a picture was taken: read from EXIF of every format, and from nothing that is no time."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from headstart.pipeline.data import manifest
from headstart.pipeline.data.layout import read_folders
from headstart.pipeline.data.listing import list_folder
from headstart.pipeline.data.manifest import build_manifest, inspect
from headstart.pipeline.store.seen_files import SeenFiles
from headstart.pipeline.store.store import Store

TAKEN, ISO = "2019:03:02 18:05:00", "2019-03-02T18:05:00"
PIXELS = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)


def exif(value: object, orientation: int = 1) -> bytes:
    tags = Image.Exif()
    tags[ExifTags.Base.Orientation] = orientation
    tags[ExifTags.Base.DateTime] = "2024:12:24 20:15:00"
    tags[ExifTags.IFD.Exif] = {
        ExifTags.Base.DateTimeDigitized: "2023:11:23 19:14:00",
        **({} if value is None else {ExifTags.Base.DateTimeOriginal: value}),
    }
    return tags.tobytes()


def file_with(tags: bytes, form: str = "JPEG", **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, form, exif=tags, **options)
    return file.getvalue()


def compressed_tiff(compression: str) -> bytes:
    """A TIFF as Pillow compresses it, which it cannot with EXIF, and a directory at its end adds EXIF."""
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, "TIFF", compression=compression)
    data = file.getvalue() + b"\0" * (file.tell() % 2)
    [start] = struct.unpack_from("<I", data, 4)
    [count] = struct.unpack_from("<H", data, start)
    entries = [data[start + 2 + 12 * number :][:12] for number in range(count)]
    text = TAKEN.encode() + b"\0"
    own = struct.pack("<HHHIII", 1, ExifTags.Base.DateTimeOriginal, 2, len(text), len(data), 0)
    entries.append(struct.pack("<HHII", ExifTags.IFD.Exif, 4, 1, len(data) + len(text)))
    first = struct.pack("<H", len(entries)) + b"".join(sorted(entries, key=lambda each: each[1::-1]))
    place = struct.pack("<I", len(data) + len(text) + len(own))
    return data[:4] + place + data[8:] + text + own + first + b"\0" * 4


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_every_format_gives_its_time(form: str, orientation: int) -> None:
    facts = inspect(file_with(exif(TAKEN, orientation), form))[0]
    assert (facts.taken, facts.error) == (ISO, "")
    assert (facts.width, facts.height) == ((50, 40) if orientation == 1 else (40, 50))


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate", "jpeg"])
def test_a_compressed_tiff_gives_its_time(compression: str) -> None:
    assert inspect(compressed_tiff(compression))[0].taken == ISO


def test_blanks_around_a_time_do_not_count() -> None:
    assert inspect(file_with(exif(f" {TAKEN} \0\0")))[0].taken == ISO


@pytest.mark.parametrize(
    "value",
    [
        None,  # a time of change or of scanning alone
        "0000:00:00 00:00:00",
        "    :  :     :  :  ",
        "",
        " " * 19,
        "\0" * 19,
        "2019:03:02",
        "2019:13:02 18:05:00",
        "2019:02:30 18:05:00",
        "2019:03:02 24:00:00",
        "2019:03:02 18:05:00 evening",
        "1825:12:31 23:59:59",
        "2038:01:01 00:00:00",
        "9999:12:31 23:59:59",
        TAKEN.encode(),  # of type UNDEFINED
        b"\xff\xfe\x00",
        20190302,
        (2019, 3, 2),
    ],
    ids=repr,
)
def test_anything_else_is_no_time(value: object) -> None:
    facts = inspect(file_with(exif(value)))[0]
    assert (facts.taken, facts.error, facts.width) == ("", "", 50)


def test_without_exif_there_is_no_time() -> None:
    assert inspect(file_with(b""))[0].taken == ""


@pytest.mark.parametrize(
    ("kind", "place"),
    [
        (4, 0),
        (4, 1 << 20),
        (4, 0xFFFFFFFF),
        (9, 0xFFFFFFFF),
        (2, 0),
        (16, len(exif(TAKEN)) - len(b"Exif\0\0")),
    ],
    ids=["its own header", "behind the end", "far behind", "negative", "a text", "64 bits"],
)
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data", "ignore:Tag data larger than file")
def test_a_directory_that_is_elsewhere_leaves_the_picture_whole(kind: int, place: int) -> None:
    tags = exif(TAKEN)
    entry = tags.index(struct.pack(">HHI", ExifTags.IFD.Exif, 4, 1))
    wrong = struct.pack(">HHII", ExifTags.IFD.Exif, kind, 1, place)
    facts = inspect(file_with(tags[:entry] + wrong + tags[entry + len(wrong) :] + b"\xff" * 8))[0]
    assert (facts.taken, facts.error, facts.width) == ("", "", 50)


def test_the_time_is_remembered_with_the_other_facts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data/a").mkdir(parents=True)
    (tmp_path / "data/a/1.jpg").write_bytes(file_with(exif(TAKEN)))
    (tmp_path / "data/a/2.png").write_bytes(file_with(b"", "PNG"))

    def taken() -> list[str]:
        found = read_folders(list_folder(tmp_path / "data").images, (), None)
        with Store(tmp_path / "store") as store:
            return build_manifest(tmp_path / "data", found, store, "cd" * 32, SeenFiles(store))[0][
                "taken"
            ].tolist()

    assert taken() == [ISO, ""]
    monkeypatch.setattr(manifest, "inspect", lambda data: pytest.fail("decoded again"))
    assert taken() == [ISO, ""]
