"""The libraries of an image that answers images: those that the server imports, without CUDA."""

import re
from typing import NamedTuple

from headstart.ground.import_closure import libraries
from headstart.projects import pins, template
from headstart.repository.code_lock import DISTRIBUTIONS

SERVER = "headstart.cli.serving"
# mlflow-skinny has all of MLflow that answers need, without its server, its pages and 40 packages behind them
NAMES = {
    **DISTRIBUTIONS,
    "markdown_it": "markdown-it-py",
    "mlflow": "mlflow-skinny",
    "ruamel": "ruamel-yaml",
    "yaml": "pyyaml",
}
# The first is imported by headstart.progress, the second by Starlette for forms with files.
BEHIND = ("tqdm", "python-multipart")
CUDA = re.compile(r"nvidia-|cuda-|triton$")
TORCH = ("torch", "torchvision")  # torch's own index has them without CUDA, as the version +cpu
COMMENT = re.compile(r"(?m)^ +#.*\n")


class Requirements(NamedTuple):
    """Texts for pip.

    Attributes:
        hashed: packages with the SHA-256 of their files.
        unhashed: torch and torchvision, whose builds without CUDA are on another index; and packages that are
            installed here in another version than this release locks.
    """

    hashed: str
    unhashed: str

    @property
    def names_unhashed(self) -> list[str]:
        """The packages without digests, as `NAME==VERSION`."""
        return self.unhashed.splitlines()


def requirements() -> Requirements:
    """Pin what `headstart serve` imports here, with the digests that this release locks.

    Raises:
        LineageError: a package is not installed.
    """
    imported = {NAMES.get(name, name) for name in libraries(SERVER)}
    packages = pins.with_needed({*imported, *BEHIND}, CUDA)
    found = pins.entries(packages, template.text_of(template.LOCK))
    hashed = [COMMENT.sub("", entry) for name, entry in found.items() if _is_hashed(name, entry)]
    unhashed = [
        f"{name}=={packages[name]}{'+cpu' if name in TORCH else ''}\n"
        for name, entry in found.items()
        if not _is_hashed(name, entry)
    ]
    return Requirements("".join(sorted(hashed)), "".join(sorted(unhashed)))


def _is_hashed(name: str, entry: str) -> bool:
    return name not in TORCH and "--hash=" in entry
