"""The source files that a module uses, by its imports: the code of a stage, or of a served model."""

import ast
import hashlib
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from headstart.ground.paths import PACKAGE

# they hold the version number and the wording of messages, and do not affect results
NO_RESULT = frozenset({"__init__.py", "errors.py", "progress.py"})
CODE = frozenset({".py", ".pyi", ".pyc"})


def closure_digest(module: str) -> str:
    """SHA-256 of the code that determines what `module` computes: its own, and all of ours it imports.

    Args:
        module: dotted name, such as `headstart.pipeline.pixels.packing`.
    """
    return _digest(_within(PACKAGE.parent, import_closure(PACKAGE.parent, module)))


def stage_digest(module: str) -> str:
    """As `closure_digest`, with the files that lie beside the code, such as templates of pages."""
    code = _within(PACKAGE.parent, import_closure(PACKAGE.parent, module))
    folders = {(PACKAGE / name).parent for name in code}
    files = {path for folder in folders for path in folder.iterdir() if path.is_file()}
    beside = {path.relative_to(PACKAGE).as_posix() for path in files if path.suffix not in CODE}
    return _digest(code | beside)


def libraries(module: str) -> set[str]:
    """Top-level modules that the code of `module` imports and that are neither ours nor Python's own."""
    names = _within(PACKAGE.parent, import_closure(PACKAGE.parent, module))
    found = {imported.partition(".")[0] for name in names for imported in _imports(PACKAGE / name, "")}
    return found - sys.stdlib_module_names - {PACKAGE.name, ""}


def import_closure(source: Path, module: str) -> set[str]:
    """Files of our own package that `module` imports, directly or not.

    Imports inside functions and relative imports count, as do the packages that contain a module.
    Imports by a computed name cannot be detected.

    Args:
        source: the folder that holds the package, among others if it is installed.
        module: dotted name.

    Returns:
        Paths relative to `source`'s parent, without `__init__.py` files that hold no code.
    """
    own = module.partition(".")[0]
    found: set[str] = set()
    waiting = [module]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen or name.partition(".")[0] != own or (path := _file(source, name)) is None:
            continue
        seen.add(name)
        if path.name != "__init__.py" or _holds_code(path):
            found.add(path.relative_to(source.parent).as_posix())
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        waiting += [package, name.rpartition(".")[0], *_imports(path, package)]
    return found


def _within(source: Path, names: Iterable[str]) -> set[str]:
    """Files of a closure that may change a result, as paths below the package."""
    return {Path(name).relative_to(source.name, PACKAGE.name).as_posix() for name in names} - NO_RESULT


def _digest(names: Iterable[str]) -> str:
    """SHA-256 of files of the package, by name and content."""
    sha = hashlib.sha256()
    for name in sorted(names):
        sha.update(name.encode())
        sha.update(hashlib.sha256((PACKAGE / name).read_bytes()).digest())
    return sha.hexdigest()


def _file(source: Path, module: str) -> Path | None:
    """The file of one of our modules or packages; None for anything else that may be imported."""
    base = source.joinpath(*module.split("."))
    if not (source / module.split(".")[0] / "__init__.py").exists():
        return None
    return next((path for path in (base / "__init__.py", base.with_suffix(".py")) if path.exists()), None)


def _imports(path: Path, package: str) -> tuple[str, ...]:
    return _read(path, path.stat().st_mtime_ns, package)[0]


def _holds_code(path: Path) -> bool:
    """Whether a module holds more than a docstring."""
    return _read(path, path.stat().st_mtime_ns, "")[1]


@cache
def _read(path: Path, changed: int, package: str) -> tuple[tuple[str, ...], bool]:
    """The imports of a file, and whether it holds more than a docstring; `changed` stands for its state."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    is_text = [isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in tree.body]
    return tuple(_imported(tree, package)), not all(is_text)


def _imported(tree: ast.Module, package: str) -> Iterator[str]:
    """Absolute names of everything that is imported, whether a module or not."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
