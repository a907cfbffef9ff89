"""The time a picture was taken, by its EXIF data."""

from datetime import datetime

from PIL import ExifTags, Image

FORMAT = "%Y:%m:%d %H:%M:%S"
YEARS = range(1826, 2038)  # the first photograph to the end of 32-bit clocks; a stage must not read our clock


def time_taken(exif: Image.Exif) -> str:
    """DateTimeOriginal, as `2019-03-02T18:05:00` by the clock of the camera; "" if it is missing or no time.

    DateTime is not read: programs that edit a picture set it to the time of the change.

    Source: CIPA DC-008-2024 (EXIF 3.0), 4.6.6 E.
    """
    try:
        text = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.DateTimeOriginal)
        if not isinstance(text, str):
            return ""
        taken = datetime.strptime(text.strip("\0 "), FORMAT)
    except Exception:  # damaged tags make Pillow raise anything; the picture itself is whole
        return ""
    return taken.isoformat() if taken.year in YEARS else ""
