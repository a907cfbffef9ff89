"""The source files that a module uses, by its imports: the code of a stage, or of a served model."""

import ast
import hashlib
from collections.abc import Iterator
from pathlib import Path

from headstart.ground.paths import PACKAGE

# they hold the version number and the wording of messages, and do not affect results
NO_RESULT = frozenset({"__init__.py", "errors.py", "progress.py"})


def closure_digest(module: str) -> str:
    """SHA-256 of the code that determines what `module` computes: its own, and all of ours it imports.

    Args:
        module: dotted name, such as `headstart.pipeline.pixels.packing`.
    """
    source = PACKAGE.parent
    sha = hashlib.sha256()
    for name in sorted(import_closure(source, module)):
        within = Path(name).relative_to(source.name, PACKAGE.name).as_posix()
        if within not in NO_RESULT:
            sha.update(within.encode())
            sha.update(hashlib.sha256((source.parent / name).read_bytes()).digest())
    return sha.hexdigest()


def import_closure(source: Path, module: str) -> set[str]:
    """Files of our own package that `module` imports, directly or not.

    Imports inside functions and relative imports count, as do the packages that contain a module.
    Imports by a computed name cannot be detected.

    Args:
        source: the folder that holds the package.
        module: dotted name.

    Returns:
        Paths relative to `source`'s parent, without `__init__.py` files that hold no code.
    """
    found: set[str] = set()
    waiting = [module]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        path = _file(source, name)
        if name in seen or path is None:
            continue
        seen.add(name)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if path.name != "__init__.py" or _holds_code(tree):
            found.add(path.relative_to(source.parent).as_posix())
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        waiting += [package, name.rpartition(".")[0], *_imported(tree, package)]
    return found


def _file(source: Path, module: str) -> Path | None:
    """The file of one of our modules or packages; None for anything else that may be imported."""
    base = source.joinpath(*module.split("."))
    if not module or not (source / module.split(".")[0] / "__init__.py").exists():
        return None
    return next((path for path in (base / "__init__.py", base.with_suffix(".py")) if path.exists()), None)


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


def _holds_code(tree: ast.Module) -> bool:
    """Whether a module holds more than a docstring."""
    return any(not (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant)) for n in tree.body)
