"""headstart.lock.yaml: the code and libraries that each stage runs, in a project without the code itself.

Its `stages` are DVC params: a stage runs again if its own code or libraries changed, not if others did.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from packaging.version import Version
from ruamel.yaml import YAML

from headstart import __version__
from headstart.errors import LineageError
from headstart.ground.import_closure import libraries, stage_digest
from headstart.ground.paths import CODE_LOCK, LOCK
from headstart.ground.reading import reading
from headstart.repository.environments import installed, pinned, public
from headstart.repository.results import read_yaml

RESTORE = (
    f"`git checkout {CODE_LOCK}` (in a merge with --theirs), then `headstart upgrade`, which writes it for "
    "the installed package"
)
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
    return {
        "code": stage_digest(MODULES[stage]),
        "libraries": {name: public(installed(name)) for name in sorted(names)},
    }


def check(stages: Sequence[str] = tuple(MODULES), folder: Path = Path()) -> None:
    """Check that stages run what a project's headstart.lock.yaml names, if it has one.

    Raises:
        LineageError: the installed code or a library is another; the message names `headstart upgrade`.
        DamagedFile: the file cannot be read.
    """
    if not (folder / CODE_LOCK).exists():
        return
    locked = read(folder)
    found = list(differences(locked, stages))
    if not found:
        return
    shown = "; ".join(found[:3]) + (f"; and {len(found) - 3} more" if len(found) > 3 else "")
    there = locked[VERSION]
    advice = (
        f"install headstart {there} (`make install`): this one is older"
        if Version(there) > Version(__version__)
        else "`headstart upgrade` takes this one; with --dry-run it only shows which stages would run again. "
        "Or install the one that is named (`make install`)"
    )
    raise LineageError(
        f"this environment is not the one that {CODE_LOCK} names (headstart {there}, here {__version__}): "
        f"{shown}. {advice}"
    )


def check_pins(folder: Path = Path()) -> None:
    """Check that requirements.lock, which versions record, pins the libraries that headstart.lock.yaml names.

    Raises:
        LineageError: it pins another version: somebody edited it, so that `headstart upgrade` left it alone.
    """
    if not (folder / CODE_LOCK).exists():
        return
    pins = pinned(folder / LOCK)
    for stage, own in read(folder)[STAGES].items():
        for name, version in own["libraries"].items():
            if pins.get(name) != version:
                raise LineageError(
                    f"{LOCK} pins {name} {pins.get(name, 'not at all')}, and {CODE_LOCK} names {version} for "
                    f"stage {stage}, so the results could not be made again; `headstart upgrade --show "
                    f"{LOCK}` prints the pins of this environment"
                )


def read(folder: Path = Path()) -> dict[str, Any]:
    """The headstart.lock.yaml of a project.

    Raises:
        DamagedFile: it holds the marks of a git conflict, or is not as Headstart writes it.
    """
    path = folder / CODE_LOCK
    found = read_yaml(path, RESTORE)
    with reading(path, RESTORE):
        found[VERSION] = str(found[VERSION])
        Version(found[VERSION])
        stages = found.setdefault(STAGES, {}) or {}
        for own in stages.values():
            own["code"], dict(own["libraries"])
        found[FILES] = {str(name): str(digest) for name, digest in (found.get(FILES) or {}).items()}
        return {**found, STAGES: stages}


def differences(locked: Mapping[str, Any], stages: Sequence[str] = tuple(MODULES)) -> Iterator[str]:
    """Differences between the stages here and those that a headstart.lock.yaml names, in words."""
    for stage in stages:
        here, there = running(stage), locked[STAGES].get(stage)
        if there is None:
            yield f"{stage} is not in it"
            continue
        if here["code"] != there["code"]:
            yield f"{stage} has other code"
        for name, was, now in changed(there["libraries"], here["libraries"]):
            yield f"{stage} has {name} {now or 'no more'} (locked: {was or 'none'})"


def take_libraries(folder: Path) -> None:
    """Set the lock of a clone that is made for a reproduction to the libraries of this environment.

    That they are others than those recorded is what the reproduction reports, and no reason to stop. Which
    ones a stage imports is up to the recorded code.
    """
    if not (folder / CODE_LOCK).exists():
        return
    locked = read(folder)
    for own in locked[STAGES].values():
        own["libraries"] = {name: public(installed(name)) for name in own["libraries"]}
    YAML().dump(locked, folder / CODE_LOCK)


def changed(
    there: Mapping[str, str], here: Mapping[str, str]
) -> Iterator[tuple[str, str | None, str | None]]:
    """Each library whose version differs, with that of each side; None if it is not used there."""
    for name in sorted({*there, *here}):
        if there.get(name) != here.get(name):
            yield name, there.get(name), here.get(name)
