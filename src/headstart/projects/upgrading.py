"""`headstart upgrade`: bring a project to the installed version, without a change to what its users wrote."""

import hashlib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.version import Version
from ruamel.yaml import YAML

from headstart import __version__
from headstart.errors import LineageError
from headstart.ground import paths
from headstart.ground.files import write_text
from headstart.ground.paths import CODE_LOCK
from headstart.ground.reading import reading
from headstart.host.project import has_code
from headstart.projects import lock_file, template
from headstart.projects.params_file import add_missing
from headstart.repository import PIPELINE
from headstart.repository.code_lock import FILES, STAGES, VERSION
from headstart.repository.programs import git_line
from headstart.repository.results import RESTORE, read_yaml

NUMBER = (
    "src/headstart/__init__.py"  # holds the version number: a release changes it, and users of a clone do not
)


@dataclass(frozen=True)
class Upgrade:
    """The changes that an upgrade makes in a project.

    Attributes:
        before, after: versions of Headstart.
        written: files that are written again.
        added: files that are new.
        removed: files that this version has no use for.
        edited: files that were edited here and stay as they are, though this version has another text.
        keys: what params.yaml gets, by dotted name.
        stages: the reasons for each stage that would run again.
        texts: of all files that are to be written, and None for those to be removed.
        lock: the new headstart.lock.yaml; None if it stays, and in a clone of Headstart, which has none.
    """

    before: str
    after: str
    written: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    edited: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    stages: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    texts: Mapping[str, str | None] = field(default_factory=dict)
    lock: Mapping[str, Any] | None = None

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.texts or self.lock)

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON data."""
        parts = ("before", "after", "written", "added", "removed", "edited")
        listed = {name: getattr(self, name) for name in parts}
        return {
            **listed,
            "params": list(self.keys),
            "stages": {name: list(why) for name, why in self.stages.items()},
        }


def plan(root: Path) -> Upgrade:
    """Find the changes that bring a project to the installed version.

    Raises:
        LineageError: the project was made by a later version.
        DamagedFile: headstart.lock.yaml or dvc.yaml cannot be read.
    """
    if has_code(root):
        return _plan_of_clone(root)
    before = read_yaml(root / CODE_LOCK)
    was = str(before.get(VERSION))
    _check_newer(was)
    new = _new_texts(root, before)
    texts, listed = _files(root, before.get(FILES) or {}, new)
    params, keys = add_missing(_params(root), template.text_of("params.yaml"))
    if keys:
        texts = {**texts, str(paths.PARAMS): params}
    lock = lock_file.contents(new)
    return Upgrade(
        before=was,
        after=__version__,
        keys=tuple(keys),
        stages=dict(_reasons(root, before, lock, texts, keys)),
        texts=texts,
        lock=lock if lock != before else None,
        **{name: tuple(found) for name, found in listed.items()},
    )


def apply(root: Path, upgrade: Upgrade) -> None:
    """Write the files of an upgrade, the lock last: an upgrade that was interrupted can be repeated."""
    for name, text in upgrade.texts.items():
        if text is None:
            (root / name).unlink()
            continue
        write_text(root / name, text)
        if template.is_program(name):
            (root / name).chmod(0o755)
    if upgrade.lock is not None:
        lock_file.write(root, upgrade.lock)


def text_of(root: Path, name: str) -> str:
    """The text that this version has for a file of a project.

    Raises:
        LineageError: this version has no such file.
    """
    before = read_yaml(root / CODE_LOCK) if not has_code(root) else {}
    texts = {**_new_texts(root, before), str(paths.PARAMS): template.text_of("params.yaml")}
    if name not in texts:
        raise LineageError(f"headstart {__version__} writes no {name}; it writes {', '.join(sorted(texts))}")
    return texts[name]


def _check_newer(was: str) -> None:
    if Version(was) > Version(__version__):
        raise LineageError(
            f"{CODE_LOCK} names headstart {was}, and this is {__version__}, which is older: install "
            f"headstart {was} or later"
        )


def _plan_of_clone(root: Path) -> Upgrade:
    """A clone of Headstart gets its files by `git merge`: only keys that a merge left out are missing.

    The last commit that changed the version number has params.yaml as it was released.
    """
    release = git_line("log", "-1", "--format=%H", "--", NUMBER, folder=root)
    released = git_line("show", f"{release}:./{paths.PARAMS}", folder=root) + "\n"
    params, keys = add_missing(_params(root), released)
    stages = {
        stage: tuple(f"new key {key}" for key in found)
        for stage, definition in _stages(root).items()
        if (found := _within(keys, definition))
    }
    texts = {str(paths.PARAMS): params} if keys else {}
    return Upgrade(__version__, __version__, keys=tuple(keys), stages=stages, texts=texts)


def _params(root: Path) -> str:
    """The text of params.yaml with its own line breaks."""
    with reading(root / paths.PARAMS, RESTORE):
        return (root / paths.PARAMS).read_bytes().decode("utf-8")


def _files(
    root: Path, recorded: Mapping[str, str], new: Mapping[str, str]
) -> tuple[dict[str, str | None], dict[str, list[str]]]:
    """The files to write or remove, and the names of all that change or would, by what happens to them.

    Args:
        recorded: the digests of the files that Headstart wrote.
        new: the texts of this version.
    """
    texts: dict[str, str | None] = {}
    listed: dict[str, list[str]] = {"written": [], "added": [], "removed": [], "edited": []}
    for name, text in new.items():
        happens = _what_happens(root / name, recorded.get(name), lock_file.digest(text))
        if happens is not None:
            listed[happens].append(name)
        if happens in ("written", "added"):
            texts[name] = text
    for name in sorted(recorded.keys() - new.keys()):
        if (root / name).is_file() and _digest(root / name) == recorded[name]:
            listed["removed"].append(name)
            texts[name] = None
    return texts, listed


def _what_happens(path: Path, recorded: str | None, new: str) -> str | None:
    if not path.exists():
        return "added" if recorded is None else None  # removed by a user: an edit too
    here = _digest(path)
    if here == new:
        return None
    if here == recorded:
        return "written"
    return "edited" if new != recorded else None


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _new_texts(root: Path, before: Mapping[str, Any]) -> dict[str, str]:
    """The files that this version writes in a project like this one, by their path."""
    recorded = before.get(FILES) or {}
    ci = [kind for kind, workflow in template.WORKFLOWS.items() if workflow in recorded]
    return template.rewritten(template.files(_project_name(root), ci))


def _project_name(root: Path) -> str:
    path = root / "pyproject.toml"
    if not path.exists():
        return root.name
    with reading(path, "correct it, or restore it with `git checkout`"):
        return str(tomllib.loads(path.read_text(encoding="utf-8"))["project"]["name"])


def _reasons(
    root: Path,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    texts: Mapping[str, str | None],
    keys: Sequence[str],
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each stage that will run again, in order, with the reasons."""
    old = _stages(root)
    text = texts.get(str(PIPELINE))
    new = old if text is None else _parsed(text)
    changed: set[str] = set()
    for stage, definition in new.items():
        there, here = (before.get(STAGES) or {}).get(stage) or {}, after[STAGES].get(stage) or {}
        why = [*_changed(there, here), *(f"new key {key}" for key in _within(keys, definition))]
        if stage not in old:
            why = ["new in this version"]
        elif definition != old[stage]:
            why.append("another definition in dvc.yaml")
        makers = [name for name in changed if set(_outs(new[name])) & set(definition.get("deps") or [])]
        why += [f"reads what {name} writes" for name in new if name in makers]
        if why:
            changed.add(stage)
            yield stage, tuple(why)


def _changed(there: Mapping[str, Any], here: Mapping[str, Any]) -> Iterator[str]:
    if there.get("code") != here.get("code"):
        yield "other code"
    was, now = there.get("libraries") or {}, here.get("libraries") or {}
    for name in sorted({*was, *now}):
        if was.get(name) != now.get(name):
            yield f"{name} {now.get(name, 'no more')} (was {was.get(name, 'not used')})"


def _within(keys: Sequence[str], definition: Mapping[str, Any]) -> list[str]:
    """The keys of params.yaml that a stage depends on."""
    named = [param for param in definition.get("params") or [] if isinstance(param, str)]
    return [key for key in keys if any(f"{key}.".startswith(f"{param}.") for param in named)]


def _outs(definition: Mapping[str, Any]) -> list[str]:
    parts = [*(definition.get("outs") or []), *(definition.get("metrics") or [])]
    return [part if isinstance(part, str) else next(iter(part)) for part in parts]


def _stages(root: Path) -> dict[str, Any]:
    with reading(root / PIPELINE, RESTORE):
        return dict(read_yaml(root / PIPELINE)["stages"])


def _parsed(text: str) -> dict[str, Any]:
    return dict(YAML(typ="safe", pure=True).load(text)["stages"])
