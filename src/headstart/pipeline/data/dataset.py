"""The data folder as images with classes, by its folders or by a table of labels."""

from dataclasses import dataclass
from pathlib import Path

from headstart.errors import DataError
from headstart.pipeline.data.layout import Found, read_folders
from headstart.pipeline.data.listing import list_folder
from headstart.pipeline.data.settings import Data


@dataclass(frozen=True)
class Dataset:
    """Images in the order of their paths, and the files that are not images."""

    images: list[Found]
    others: list[str]


def read_dataset(folder: Path, data: Data) -> Dataset:
    """List a data folder and read the class and split of each image.

    Raises:
        DataError: there is no folder or no image, a name or link cannot be versioned, or the folders or the
            table of labels are ambiguous or wrong.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}; put images there, one subfolder per class")
    listing = list_folder(folder)
    if not listing.images:
        also = f" ({len(listing.others)} files that are not images)" if listing.others else ""
        raise DataError(
            f"{folder} holds no images{also}; put images there, one subfolder per class, "
            "or draw the sample with `headstart sample`"
        )
    if data.labels is None:
        return Dataset(read_folders(listing.images, listing.bare, data.layout), listing.others)
    from headstart.pipeline.data.labels import read_labels  # pandas takes half a second

    others = [path for path in listing.others if path != data.labels]
    return Dataset(read_labels(folder / data.labels, listing.images), others)
