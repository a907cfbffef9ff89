"""`headstart kept`: list and remove the requests that servers keep."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart.cli.commands import IMAGES, Commands, add_json
from headstart.cli.entering import enter_any, naming_options, report_defaults
from headstart.errors import ArgumentError
from headstart.ground import paths

if TYPE_CHECKING:
    from headstart.versions.serving.kept.pruning import Totals
    from headstart.versions.serving.kept.rows import Kept
    from headstart.versions.serving.settings import Serve

OPTIONS = {"serve.keep": "--keep", "serve.folder": "--keep-dir"}


def add_to(commands: Commands) -> None:
    """Add kept."""
    kept = commands.add(
        IMAGES,
        "kept",
        "list or remove the requests that `headstart serve` keeps",
        _kept,
        about="list: by time. remove: images by their id or that of their request, with labels and files. "
        "prune: what is older or larger than serve.keep_days and serve.keep_gb allow. Exit status 3: an id "
        "is not kept.",
        example="headstart kept remove 0b5ae2c1d8f54c3a9e1f6d7b2a4c8e90",
    )
    kept.add_argument("action", choices=tuple(ACTIONS))
    kept.add_argument("ids", nargs="*", metavar="ID", help="of an image or a request, for remove")
    kept.add_argument("--dir", metavar="PATH", default="", help="default: serve.folder of the project")
    kept.add_argument("--version", metavar="VERSION", help="list the answers of models:/NAME/VERSION alone")
    add_json(kept)


def serve_settings(root: Path | None, **changes: Any) -> "Serve":
    """Section `serve` of the project around the working folder, or its defaults without one.

    Args:
        changes: keys with other values, from options; None for those of the section.

    Raises:
        HeadstartError: params.yaml is wrong, or an option is.
    """
    from headstart.params import Params, load_params, overridden

    params = Params() if root is None else load_params(paths.PARAMS)
    if root is not None:
        report_defaults(params, {"serve"})
    with naming_options(OPTIONS):
        given = {name: value for name, value in changes.items() if value is not None}
        return overridden(params, {"serve": given}).serve


def _kept(chosen: argparse.Namespace) -> None:
    root, [folder] = enter_any(chosen.dir)
    settings = serve_settings(root, folder=folder or None)
    if bool(chosen.ids) != (chosen.action == "remove"):
        raise ArgumentError(
            "ids are for `remove`, which needs at least one; `headstart kept list` shows them"
        )
    if root is None and not folder:
        raise ArgumentError("this folder is in no project: name the folder of kept answers with --dir")
    ACTIONS[chosen.action](chosen, settings)


def _list(chosen: argparse.Namespace, settings: "Serve") -> None:
    from headstart.cli.json_output import print_result
    from headstart.versions.serving.kept.store import KeptStore

    with KeptStore(Path(settings.folder)) as store:
        totals = store.totals()
        rows = list(store.read(version=chosen.version))
    print_result(
        chosen.json,
        lambda: {**_totals(settings, totals), "answers": [row.as_dict() for row in rows]},
        lambda: "\n".join([*map(_line, rows), _sentence(settings, totals)]),
    )


def _remove(chosen: argparse.Namespace, settings: "Serve") -> None:
    from headstart.cli.json_output import print_result
    from headstart.versions.serving.kept.store import KeptStore

    with KeptStore(Path(settings.folder)) as store:
        found = {id_: store.matching(id_) for id_ in dict.fromkeys(chosen.ids)}
        store.remove(found)
    removed = sorted({name for names in found.values() for name in names})
    unknown = [id_ for id_, names in found.items() if not names]
    said = [*(f"removed {name}" for name in removed), *(f"{id_} is not kept" for id_ in unknown)]
    print_result(
        chosen.json,
        lambda: {"folder": settings.folder, "removed": removed, "unknown": unknown},
        lambda: "\n".join(said),
    )
    if unknown:
        sys.exit(3)


def _prune(chosen: argparse.Namespace, settings: "Serve") -> None:
    from headstart.cli.json_output import print_result
    from headstart.versions.serving.kept.store import KeptStore

    with KeptStore(Path(settings.folder)) as store:
        removed = store.prune(settings.keep_days, settings.keep_gb)
        totals = store.totals()
    print_result(
        chosen.json,
        lambda: {**_totals(settings, totals), "removed": removed},
        lambda: f"removed {removed}; {_sentence(settings, totals)}",
    )


ACTIONS = {"list": _list, "remove": _remove, "prune": _prune}


def _totals(settings: "Serve", totals: "Totals") -> dict[str, Any]:
    return {"folder": settings.folder, **totals._asdict()}


def _sentence(settings: "Serve", totals: "Totals") -> str:
    return (
        f"{totals.rows} answers and {totals.images} images in {settings.folder}, "
        f"{totals.bytes / 1e6:.1f} MB; at most {settings.keep_days} days and {settings.keep_gb:g} GB are kept"
    )


def _line(row: "Kept") -> str:
    """A row for a terminal, whose control characters a name may not reach."""
    name = "" if row.name is None else "".join(each if each.isprintable() else "?" for each in row.name)
    found = row.label or row.error or ""
    return f"{row.time:%Y-%m-%d %H:%M:%S}  {row.id}  {row.model_version}  {found}  {name}".rstrip()
