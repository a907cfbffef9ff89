"""The source files that a module uses, by its imports: what a stage depends on, what a served model needs."""

import ast
from pathlib import Path


def import_closure(source: Path, module: str) -> set[str]:
    """Files of our own package that `module` imports, directly or not, late imports included.

    Args:
        source: the folder that holds the package.
        module: dotted name.

    Returns:
        Paths relative to `source`'s parent, without `__init__.py` files.
    """
    found: set[str] = set()
    waiting = [module]
    while waiting:
        path = _file(source, waiting.pop())
        if path is None or (name := path.relative_to(source.parent).as_posix()) in found:
            continue
        found.add(name)
        waiting += _imported(ast.parse(path.read_text(encoding="utf-8")), source)
    return {name for name in found if not name.endswith("__init__.py")}


def _file(source: Path, module: str) -> Path | None:
    base = source.joinpath(*module.split("."))
    return next((p for p in (base.with_suffix(".py"), base / "__init__.py") if p.exists()), None)


def _imported(tree: ast.Module, source: Path) -> list[str]:
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("headstart"):
            names.append(str(node.module))
            names += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names += [a.name for a in node.names if a.name.startswith("headstart")]
    return [name for name in names if _file(source, name)]
