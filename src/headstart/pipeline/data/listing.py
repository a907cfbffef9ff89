"""List a folder of images: the files that count, those that are not images, and folders without anything."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from PIL import Image, UnidentifiedImageError

from headstart.errors import DataError
from headstart.pipeline.data.formats import readable_formats
from headstart.pipeline.data.reading import is_utf8, open_file, shown

LEFT_BY_SYSTEMS = {"thumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin"}
VECTOR_AND_HDR = {".svg", ".svgz", ".exr", ".hdr", ".psd", ".dcm"}
PHONES = {".heic", ".heif", ".hif", ".avif", ".jxl", ".jxr"}
CAMERAS = {".raw", ".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".rw2", ".raf"}
OTHER_IMAGES = VECTOR_AND_HDR | PHONES | CAMERAS  # to people, whether or not Pillow reads them
NOT_PICTURES = {".h5", ".hdf", ".bufr", ".grib", ".mpg", ".mpeg", ".ps", ".eps", ".emf", ".wmf", ".pdf"}


@dataclass
class Listing:
    """The contents of a folder, as sorted POSIX paths relative to it.

    Attributes:
        images: files that should be images, by name or content; they may be damaged. Links that lead to
            themselves or to a folder above count too, so that their error is named.
        others: files that are not images, by name and content.
        bare: folders that hold nothing at all, apart from hidden files.
    """

    images: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    bare: list[str] = field(default_factory=list)


def is_ignored(name: str) -> bool:
    """Whether a file or folder never counts: hidden ones, and those that operating systems leave."""
    return name.startswith(".") or name.lower() in LEFT_BY_SYSTEMS


def is_named_like_an_image(name: str) -> bool:
    """Whether the name's suffix is that of an image format."""
    suffix = PurePosixPath(name.lower()).suffix
    if suffix in NOT_PICTURES:
        return False
    return suffix in OTHER_IMAGES or suffix in Image.registered_extensions()


def list_folder(folder: Path, *, is_versioned: bool = True) -> Listing:
    """List a folder with all its subfolders.

    Args:
        is_versioned: DVC versions the folder, so that links to folders are an error: it does not follow them.

    Raises:
        DataError: a folder cannot be listed; or, if DVC versions it, a name is not UTF-8 or a folder is a
            link.
    """
    listing = Listing()
    for path, is_file in _walk(folder, (), is_versioned):
        name = path.relative_to(folder).as_posix()
        if not is_file:
            listing.bare.append(name)
        elif is_named_like_an_image(name) or _has_an_image(path):
            listing.images.append(name)
        else:
            listing.others.append(name)
    for names in (listing.images, listing.others, listing.bare):
        names.sort()
    return listing


def _walk(folder: Path, above: tuple[str, ...], is_versioned: bool) -> Iterator[tuple[Path, bool]]:
    """Files, and folders that hold nothing: (path, whether it is a file). A link upwards counts as a file."""
    real = os.path.realpath(folder)
    if real in above:  # a link to a folder that contains it
        yield folder, True
        return
    try:
        with os.scandir(folder) as found:
            entries = [entry for entry in found if not is_ignored(entry.name)]
    except OSError as error:
        raise DataError(
            f"the folder {shown(str(folder))} cannot be listed: {error.strerror}; make it readable "
            "(`chmod u+rx`), or take it away"
        ) from error
    if not entries and above:
        yield folder, False
    for entry in entries:
        if is_versioned:
            _check_name(entry)
        if not _is_folder(entry):
            yield Path(entry.path), True
        elif is_versioned and entry.is_symlink():
            raise DataError(
                f"{entry.path} is a link to a folder ({os.path.realpath(entry.path)}), and DVC does not "
                "version the files behind it; copy the folder there (`cp -rL`). Links to files are fine"
            )
        else:
            yield from _walk(Path(entry.path), (*above, real), is_versioned)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder or a link to one; a loop of links is neither, and reading it fails."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _check_name(entry: os.DirEntry[str]) -> None:
    """Refuse names that are not UTF-8: DVC and Parquet could not record them."""
    if not is_utf8(entry.path):
        raise DataError(
            f"the name of {os.fsencode(entry.path)!r} is not UTF-8; rename the file (`convmv` renames many)"
        )


def _has_an_image(path: Path) -> bool:
    """Whether Pillow knows the format by the first bytes.

    A file that cannot be opened counts as an image, as does a link to a folder above; pipes, sockets and
    devices do not.
    """
    try:
        if path.is_dir():
            return True
        with open_file(path) as file, Image.open(file, formats=readable_formats()):
            return True
    except (UnidentifiedImageError, DataError):
        return False
    except Exception:  # a damaged header, a decompression bomb, no permission: validation names the reason
        return True
