"""Predictions of image files, in batches, with memory bounded; a file that cannot be read stops nothing."""

import glob
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from torchvision.transforms._presets import ImageClassification

from headstart.data.decoding import decode
from headstart.data.pixels import pack
from headstart.errors import DataError

BATCH = 16
WORKERS = 4


def find_images(patterns: Iterable[str]) -> list[Path]:
    """Files, the files of folders, and what glob patterns match, in the order given.

    Hidden files are passed over.

    Raises:
        DataError: a folder or a pattern without any file.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        path = Path(pattern)
        if path.is_dir():
            files = sorted(p for p in path.rglob("*") if p.is_file() and not _is_hidden(p.relative_to(path)))
        elif path.exists() or not glob.has_magic(pattern):
            files = [path]  # one that is missing is reported with the others
        else:
            matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - of any folder
            files = [Path(match) for match in matches if Path(match).is_file()]
        if not files:
            raise DataError(f"{pattern} matches no file")
        found.update(dict.fromkeys(files))
    return list(found)


def score(
    files: Sequence[Path],
    transform: ImageClassification,
    predict: Callable[[np.ndarray], np.ndarray],
) -> Iterator[tuple[Path, np.ndarray | DataError]]:
    """The scores of each file, or why there are none, in the order given.

    Args:
        predict: from uint8 [n, H, W, 3] to float64 [n, C].
    """

    def read(path: Path) -> np.ndarray | DataError:
        try:
            return pack(decode(path.read_bytes()), transform)
        except DataError as error:
            return error
        except OSError as error:
            return DataError(error.strerror or str(error))

    with ThreadPoolExecutor(WORKERS) as pool:
        for start in range(0, len(files), BATCH):
            part = files[start : start + BATCH]
            read_ones = list(pool.map(read, part))
            good = [pixels for pixels in read_ones if isinstance(pixels, np.ndarray)]
            rows = iter(predict(np.stack(good))) if good else iter(())
            for path, pixels in zip(part, read_ones, strict=True):
                yield path, next(rows) if isinstance(pixels, np.ndarray) else pixels


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
