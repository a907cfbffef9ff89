"""Write the folder that `docker build` makes an image from."""

import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from headstart import __version__
from headstart.containers.libraries import Requirements, requirements
from headstart.errors import HeadstartError
from headstart.host.project import QUIET
from headstart.projects import pins
from headstart.repository import package_archive
from headstart.versions.export.export import export_folder
from headstart.versions.export.folder import check_absent, making
from headstart.versions.export.report import Exported

TEMPLATE = Path(__file__).parent / "template"
MODEL, SERVER, PORT, USER = "model", "server", 5001, 65532  # nobody else's number, as in distroless images
FILES = {"Dockerfile": "Dockerfile.j2", "README.md": "README.md.j2", ".dockerignore": "dockerignore"}


@dataclass(frozen=True)
class Packaged:
    """A folder for an image.

    Attributes:
        model: the version, with an alias resolved.
        digest: SHA-256 of `model/export.json`, which has those of all files of the version.
        bytes: size of all files.
        python: version of Python that the libraries are for.
        unhashed: packages that are installed by version alone, as `NAME==VERSION`.
    """

    model: str
    out: str
    digest: str
    bytes: int
    python: str
    unhashed: tuple[str, ...]

    def sentence(self) -> str:
        """Lines for a person."""
        return (
            f"{self.out}: {self.model} and its server, {self.bytes / 1e6:.1f} MB, for Python {self.python}\n"
            f"without digests: {', '.join(self.unhashed)}\n"
            f"`docker build --tag headstart-serve {self.out}` makes the image; {self.out}/README.md has more"
        )

    def as_dict(self) -> dict[str, Any]:
        """The same for programs."""
        return asdict(self)


def package(model: str, out: Path) -> Packaged:
    """Write a version with its server as a folder for `docker build`, whole or not at all.

    Args:
        model: as in `export_folder`.
        out: must not exist.

    Raises:
        HeadstartError: `out` exists, or this is not Linux.
        LineageError: a library of the server is not installed here.
        TrackingError, ModelError: see `export_folder`.
    """
    if sys.platform != "linux":
        raise HeadstartError(
            f"the image gets the libraries that are installed here, for {sys.platform}, and needs those for "
            "Linux: run `headstart package` on Linux, such as in a container"
        )
    check_absent(out)
    needed = requirements()
    with making(out) as new:
        exported = export_folder(model, new / MODEL)
        _write_server(new / SERVER)
        (new / "requirements.txt").write_text(needed.hashed, encoding="utf-8")
        (new / "requirements-unhashed.txt").write_text(needed.unhashed, encoding="utf-8")
        for name, text in _documents(exported, needed).items():
            (new / name).write_text(text, encoding="utf-8")
        _let_all_read(new)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    return Packaged(
        exported.model, str(out), exported.digest, size, pins.python(), tuple(needed.names_unhashed)
    )


def _write_server(folder: Path) -> None:
    """Write the running package, from a clone or installed, as a folder of sources."""
    with tempfile.TemporaryDirectory() as made:
        archive = Path(made) / package_archive.NAME
        package_archive.write(archive)
        package_archive.unpack(archive, folder)


def _let_all_read(folder: Path) -> None:
    """Let the image's user read every file, whatever the umask is here."""
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _documents(exported: Exported, needed: Requirements) -> dict[str, str]:
    values: Mapping[str, object] = {
        "model": exported.model,
        "digest": exported.digest,
        "headstart": __version__,
        "code": package_archive.digest(),
        "python": pins.python(),
        "unhashed": needed.names_unhashed,
        "quiet": QUIET,
        "port": PORT,
        "user": USER,
    }
    environment = Environment(trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    texts = {name: (TEMPLATE / source).read_text(encoding="utf-8") for name, source in FILES.items()}
    return {name: environment.from_string(text).render(values) + "\n" for name, text in texts.items()}
