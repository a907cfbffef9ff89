"""`headstart upgrade`: bring a project to the installed version, without a change to what its users wrote."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any

from packaging.version import Version
from ruamel.yaml import YAML

from headstart import __version__
from headstart.errors import LineageError, ParamsError
from headstart.ground import paths
from headstart.ground.files import replacing
from headstart.ground.paths import CODE_LOCK
from headstart.ground.reading import reading
from headstart.ground.wording import named
from headstart.host.project import has_code
from headstart.params import load_params
from headstart.projects import lock_file, template
from headstart.projects.params_file import add_missing
from headstart.repository import PIPELINE, code_lock
from headstart.repository.code_lock import FILES, STAGES, VERSION
from headstart.repository.programs import git_line
from headstart.repository.results import RESTORE, read_yaml

# holds the version number: a release changes it, and users of a clone do not
NUMBER = "src/headstart/__init__.py"


@dataclass(frozen=True)
class Upgrade:
    """The changes that an upgrade makes in a project.

    Attributes:
        before, after: versions of Headstart.
        written: files that are written again.
        added: files that are new.
        removed: files that this version has no use for.
        edited: files that were edited here and stay as they are, though this version has another text.
        keys: what params.yaml gets: values by dotted name.
        by_hand: what has to be added to params.yaml by hand; "" for nothing.
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
    keys: Mapping[str, object] = field(default_factory=dict)
    by_hand: str = ""
    stages: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    texts: Mapping[str, str | None] = field(default_factory=dict)
    lock: Mapping[str, Any] | None = None

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.texts or self.lock or self.by_hand)

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON data."""
        parts = ("before", "after", "written", "added", "removed", "edited")
        listed = {name: getattr(self, name) for name in parts}
        return {
            **listed,
            "params": dict(self.keys),
            "by_hand": self.by_hand,
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
    before = code_lock.read(root)
    was = before[VERSION]
    _check_newer(was)
    new = _new_texts(root, before)
    texts, listed = _files(root, before[FILES], new)
    params = _completed(root, template.text_of("params.yaml"))
    texts |= params.texts
    lock = lock_file.contents(new)
    return Upgrade(
        before=was,
        after=__version__,
        keys=params.keys,
        by_hand=params.by_hand,
        stages=dict(_reasons(root, before, lock, texts, list(params.keys))),
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
        path = (root / name).resolve()  # what a link of the user's leads to
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
        with replacing(path, 0o755 if template.is_program(name) else mode) as new:
            new.write_bytes(text.encode())
    if upgrade.lock is not None:
        lock_file.write(root, upgrade.lock)


def text_of(root: Path, name: str) -> str:
    """The text that this version has for a file of a project.

    Raises:
        LineageError: this version has no such file.
    """
    if has_code(root):
        raise LineageError("a clone of Headstart gets its files by `git merge` (docs/upgrade.md)")
    texts = _new_texts(root, code_lock.read(root))
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
    if git_line("rev-parse", "--is-shallow-repository", folder=root) == "true":
        raise LineageError(
            "this clone is shallow, so params.yaml as it was released is not in it: `git fetch --unshallow`"
        )
    release = git_line("log", "-1", "--format=%H", "--", NUMBER, folder=root)
    released = git_line("show", f"{release}:./{paths.PARAMS}", folder=root) + "\n"
    params = _completed(root, released)
    stages = {
        stage: tuple(f"new key {key}" for key in found)
        for stage, definition in _stages(root).items()
        if (found := _within(list(params.keys), definition))
    }
    return Upgrade(
        before=__version__,
        after=__version__,
        keys=params.keys,
        by_hand=params.by_hand,
        stages=stages,
        texts=params.texts,
    )


@dataclass(frozen=True)
class _Params:
    """The part of an upgrade that concerns params.yaml."""

    texts: Mapping[str, str | None]
    keys: Mapping[str, object]
    by_hand: str


def _completed(root: Path, released: str) -> _Params:
    """Add the keys that params.yaml lacks; those that cannot be added, or that the release lacks, are named.

    Raises:
        ParamsError: params.yaml cannot be used as it is.
    """
    path = root / paths.PARAMS
    lacking = load_params(path).lacking()
    with reading(path, RESTORE):
        text = path.read_bytes().decode("utf-8")  # with its own line breaks
    try:
        new, names = add_missing(text, released)
    except ParamsError as error:
        return _Params({}, {}, str(error))
    values = _values(new)
    keys = {name: reduce(lambda part, key: part[key], name.split("."), values) for name in names}
    left = [key for key in lacking if not any(f"{key}.".startswith(f"{name}.") for name in names)]
    by_hand = f"{path.name} lacks {named(left)}, whose defaults are used" if left else ""
    return _Params({path.name: new} if names else {}, keys, by_hand)


def _values(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


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
        happens = _what_happens(root / name, recorded.get(name), lock_file.digest(text.encode()))
        if happens is not None:
            listed[happens].append(name)
        if happens in ("written", "added"):
            texts[name] = text
    for name in sorted(recorded.keys() - new.keys()):
        if (root / name).is_file() and lock_file.digest((root / name).read_bytes()) == recorded[name]:
            listed["removed"].append(name)
            texts[name] = None
    return texts, listed


def _what_happens(path: Path, recorded: str | None, new: str) -> str | None:
    if path.is_dir():
        return "edited"
    if not path.exists():
        return "added" if recorded is None else None  # removed by a user: an edit too
    here = lock_file.digest(path.read_bytes())
    if here == new:
        return None
    if here == recorded:
        return "written"
    return "edited" if new != recorded else None


def _new_texts(root: Path, before: Mapping[str, Any]) -> dict[str, str]:
    """The files that this version writes in a project like this one, by their path."""
    recorded = before[FILES]
    ci = [kind for kind, workflow in template.WORKFLOWS.items() if workflow in recorded]
    return template.rewritten(template.files(_project_name(root), ci))


def _project_name(root: Path) -> str:
    path = root / "pyproject.toml"
    if not path.exists():
        return root.name
    with reading(path, "correct it, or restore it with `git checkout`"):
        return str(tomllib.loads(path.read_text(encoding="utf-8")).get("project", {}).get("name", root.name))


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
    new = old if text is None else dict(_values(text)["stages"])
    changed: set[str] = set()
    for stage, definition in new.items():
        there, here = before[STAGES].get(stage, {}), after[STAGES].get(stage, {})
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
    libraries = code_lock.changed(there.get("libraries", {}), here.get("libraries", {}))
    yield from (f"{name} {now or 'no more'} (was {was or 'not used'})" for name, was, now in libraries)


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
