"""An exported version: the file that names its model and the digests of all its files, and its card."""

from pathlib import Path

from pydantic import BaseModel, ValidationError

from headstart.errors import ModelError
from headstart.ground.files import inside, write_json
from headstart.ground.settings import Digest
from headstart.versions.registry.stored_model import file_digest

NAME, CARD = "export.json", "card.md"
AGAIN = "export the version again with `headstart export`"


class Manifest(BaseModel):
    """Contents of `export.json`.

    Attributes:
        model: the version, as `models:/NAME/VERSION`.
        run_id: of the run that made it.
        classes: in the order of the probabilities.
        head: digest of the tensors of its head.
        files: SHA-256 by path, of all other files in the folder.
    """

    model: str
    run_id: str
    classes: tuple[str, ...]
    head: Digest
    files: dict[str, Digest]


def write_manifest(folder: Path, model: str, run_id: str, classes: tuple[str, ...], head: str) -> None:
    """Describe the files that are in a folder now."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    digests = {path.relative_to(folder).as_posix(): file_digest(path) for path in files}
    found = Manifest(model=model, run_id=run_id, classes=classes, head=head, files=digests)
    write_json(folder / NAME, found.model_dump())


def check_files(folder: Path) -> None:
    """Compare the files of an exported version with their digests; any other folder is left alone.

    Raises:
        ModelError: one is missing or was changed after the export.
    """
    path = folder / NAME
    if not path.exists():
        return
    try:
        files = Manifest.model_validate_json(path.read_bytes()).files
    except (OSError, ValidationError) as error:
        raise ModelError(f"{path} does not describe an exported version ({error}); {AGAIN}") from error
    for name, digest in files.items():
        own = inside(folder, name)
        if not own.is_file():
            raise ModelError(f"{own} is missing, and {path} names it; {AGAIN}")
        if (found := file_digest(own)) != digest:
            raise ModelError(
                f"{own} has SHA-256 {found[:12]}, and {path} names {digest[:12]}: it was changed after "
                f"it was exported; {AGAIN}"
            )
