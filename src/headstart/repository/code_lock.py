"""headstart.lock.yaml: the code and libraries that each stage runs, in a project without the code itself.

Its `stages` are DVC params: a stage runs again if its own code or libraries changed, not if others did.
"""

from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from headstart import __version__
from headstart.errors import LineageError
from headstart.ground.import_closure import libraries, stage_digest
from headstart.ground.paths import CODE_LOCK
from headstart.repository.results import read_yaml

MODULES = {
    "backbone": "headstart.pipeline.network.stage",
    "validate": "headstart.pipeline.data.stage",
    "preprocess": "headstart.pipeline.pixels.stage",
    "features": "headstart.pipeline.features.stage",
    "inspect": "headstart.pipeline.inspection.stage",
    "train": "headstart.pipeline.training.stage",
    "evaluate": "headstart.pipeline.evaluation.stage",
}
VERSION, SERVED, STAGES, FILES = "headstart", "serving", "stages", "files"  # keys of the file
DISTRIBUTIONS = {"PIL": "pillow", "great_expectations": "great-expectations", "sklearn": "scikit-learn"}
BEHIND = {"pandas": "pyarrow"}  # pandas imports it by a computed name, to read and write Parquet


def running(stage: str) -> dict[str, Any]:
    """The code of a stage here, by its digest, and the versions of the libraries that it imports."""
    imported = libraries(MODULES[stage])
    names = {DISTRIBUTIONS.get(name, name) for name in imported} | {
        behind for name, behind in BEHIND.items() if name in imported
    }
    versions = {
        name: metadata.version(name).partition("+")[0] for name in sorted(names)
    }  # +cpu, +cu130: a build
    return {"code": stage_digest(MODULES[stage]), "libraries": versions}


def check(stages: Sequence[str] = tuple(MODULES), folder: Path = Path()) -> None:
    """Check that stages run what a project's headstart.lock.yaml names, if it has one.

    Raises:
        LineageError: the installed code or a library is another; the message names `headstart upgrade`.
        DamagedFile: the file cannot be read.
    """
    path = folder / CODE_LOCK
    if not path.exists():
        return
    locked = read_yaml(path)
    found = list(differences(locked, stages))
    if not found:
        return
    shown = "; ".join(found[:3]) + (f"; and {len(found) - 3} more" if len(found) > 3 else "")
    raise LineageError(
        f"this environment is not the one that {CODE_LOCK} names (headstart {locked.get(VERSION)}, here "
        f"{__version__}): {shown}. `headstart upgrade` takes this one; with --dry-run it only shows "
        "which stages would run again. Or install the one that is named"
    )


def differences(locked: Mapping[str, Any], stages: Sequence[str] = tuple(MODULES)) -> Iterator[str]:
    """Differences between the stages here and those that a headstart.lock.yaml names, in words."""
    named = locked.get(STAGES) or {}
    for stage in stages:
        here, there = running(stage), named.get(stage)
        if not isinstance(there, Mapping):
            yield f"{stage} is not in it"
            continue
        if here["code"] != there.get("code"):
            yield f"{stage} has other code"
        yield from (
            f"{stage} has {change}" for change in _changed(there.get("libraries") or {}, here["libraries"])
        )


def take_libraries(folder: Path) -> None:
    """Set the lock of a clone that is made for a reproduction to the libraries of this environment.

    That they are others than those recorded is what the reproduction reports, and no reason to stop.
    """
    path = folder / CODE_LOCK
    if not path.exists():
        return
    locked = read_yaml(path)
    for stage, own in (locked.get(STAGES) or {}).items():
        if stage in MODULES:
            own["libraries"] = running(stage)["libraries"]
    YAML().dump(locked, path)


def _changed(there: Mapping[str, str], here: Mapping[str, str]) -> Iterator[str]:
    for name in sorted({*there, *here}):
        if there.get(name) != here.get(name):
            yield f"{name} {here.get(name, 'no more')} (locked: {there.get(name, 'none')})"
