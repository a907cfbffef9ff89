"""`headstart export --format folder`: a version with all that it runs, for machines without the server."""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from headstart.errors import HeadstartError
from headstart.ground import paths
from headstart.pipeline.network import checkpoint
from headstart.pipeline.network.assembly import frozen_tensors
from headstart.versions.registry import exported
from headstart.versions.registry.frozen import frozen_names
from headstart.versions.registry.stored_model import StoredModel

README = """# {model}

A version that Headstart exported, with every tensor that it runs: it answers without its tracking server.
Classes: {classes}. Head {head}.

    headstart predict --model . photo.jpg       # where Headstart is installed

    import headstart
    headstart.load(".").predict("photo.jpg")    # the same in Python

    import mlflow.pyfunc
    mlflow.pyfunc.load_model(".")               # with MLflow alone; runs the code in code/

`card.md`, if there is one, is the version's card as it was then: metrics, data, limits, the gate's decision.
`export.json` holds the SHA-256 of every file, which the first two compare before they answer.
`requirements.txt` has the libraries, with their versions.
"""


def write_folder(stored: StoredModel, card: str, out: Path) -> None:
    """Write a version as a new folder, whole or not at all.

    The folder is an MLflow model like one registered with `register.package: full`: it holds its frozen
    tensors instead of a reference to those on the server.

    Args:
        card: its description in MLflow; empty if it has none.
        out: must not exist.
    """
    head = checkpoint.metadata(stored.head, checkpoint.HEAD)
    with making(out) as new:
        shutil.copytree(stored.folder, new, dirs_exist_ok=True)
        new.chmod(0o755)  # a folder that was just downloaded is its owner's alone
        if stored.frozen.suffix == ".json":
            _hold_frozen(stored, new, head)
        classes = tuple(head["classes"])
        text = README.format(model=stored.name, classes=", ".join(classes), head=head["digest"][:12])
        (new / "README.md").write_text(text, encoding="utf-8")
        if card:
            (new / exported.CARD).write_text(card, encoding="utf-8")
        exported.write_manifest(new, stored.name, stored.run_id, classes, head["digest"])


@contextmanager
def making(out: Path) -> Iterator[Path]:
    """A new folder beside `out`, which becomes `out` if the block succeeds and is removed if it fails.

    It has one name per `out` and is locked, so that the next export removes what a killed one left, and waits
    for one that is still running.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    new = out.with_name(f".{out.name}.new")
    handle = _locked(new)
    try:
        for left in new.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        yield new
        check_absent(out)
        new.rename(out)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    finally:
        os.close(handle)


def _locked(folder: Path) -> int:
    """Open a folder and lock it; the system unlocks it when the handle is closed or the process ends."""
    while True:
        folder.mkdir(exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(handle, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), folder.stat()):
                return handle
        os.close(handle)  # meanwhile the export that held it has renamed or removed it


def check_absent(out: Path) -> None:
    """Check that nothing would be overwritten.

    Raises:
        HeadstartError: `out` exists.
    """
    if out.exists() or out.is_symlink():
        raise HeadstartError(f"{out} exists and is left as it is; name a new one, or remove it first")


def _hold_frozen(stored: StoredModel, new: Path, head: dict[str, Any]) -> None:
    """Replace the reference to frozen layers by a file that holds them."""
    reference = new / stored.frozen.relative_to(stored.folder)
    described = json.loads(reference.read_bytes())["backbone"]
    held = reference.with_name(paths.BACKBONE.name)
    tensors = frozen_tensors(stored.backbone(), frozen_names(head), head["backbone"])
    checkpoint.save(held, tensors, described)
    reference.unlink()
    description = new / "MLmodel"
    model = yaml.safe_load(description.read_text(encoding="utf-8"))
    files = model["flavors"]["python_function"]["artifacts"]
    del files["frozen"]
    files["backbone"] = {"path": held.relative_to(new).as_posix(), "uri": held.name}
    description.write_text(yaml.safe_dump(model, sort_keys=False), encoding="utf-8")
