"""The part of the package that an answer needs: stored with every version, and run by whoever loads one."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from headstart.ground.import_closure import import_closure
from headstart.ground.paths import PACKAGE

MODEL = f"{PACKAGE.name}.versions.serving.served_model"


def packed_files() -> dict[str, Path]:
    """The files of the running package that registration stores, by their path below the package."""
    source = PACKAGE.parent
    used = [Path(name).relative_to(source.name, PACKAGE.name) for name in import_closure(source, MODEL)]
    inits = {parent / "__init__.py" for within in used for parent in within.parents}
    return {within.as_posix(): PACKAGE / within for within in sorted({*used, *inits})}


def packed_digest() -> str:
    """`code_digest` of a version that the running package registers."""
    model = PACKAGE.joinpath(*MODEL.split(".")[1:]).with_suffix(".py")
    code = {f"code/{PACKAGE.name}/{within}": path for within, path in packed_files().items()}
    return code_digest({**code, model.name: model})


def code_digest(files: Mapping[str, Path]) -> str:
    """SHA-256 of a version's code, by its path in the version and by content."""
    sha = hashlib.sha256()
    for name, path in sorted(files.items()):
        sha.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return sha.hexdigest()
