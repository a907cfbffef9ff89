"""Commands that begin a project, and bring one to the installed version."""

import argparse
import json
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from headstart.cli.commands import PROJECT, Commands, add_json
from headstart.host.project import be_quiet, enter_tree

if TYPE_CHECKING:
    from headstart.projects.new_project import Made
    from headstart.projects.upgrading import Upgrade


def add_to(commands: Commands) -> None:
    """Add init and upgrade."""
    init = commands.add(
        PROJECT,
        "init",
        "begin a project in a new folder: stages, flows, parameters and tests, under git and DVC",
        _init,
        example="headstart init hymenoptera",
    )
    init.add_argument("folder", metavar="DIR", type=Path, help="new or empty")
    init.add_argument(
        "--demo", action="store_true", help="with the sample data, and the backbone that suffices for it"
    )
    init.add_argument("--ci", choices=("github", "gitlab"), help="with a workflow that tries each change")
    add_json(init)
    upgrade = commands.add(
        PROJECT,
        "upgrade",
        "bring the project to the installed version; what you edited stays as it is",
        _upgrade,
        about="Files that nobody edited are written again, and params.yaml gets the keys that it lacks.",
        example="headstart upgrade --dry-run",
    )
    upgrade.add_argument(
        "--dry-run", action="store_true", help="only say what would change, and which stages would run"
    )
    upgrade.add_argument(
        "--show", metavar="FILE", help="print this version's text of a file, and change nothing"
    )
    add_json(upgrade)


def _init(chosen: argparse.Namespace) -> None:
    be_quiet()
    from headstart.cli.json_output import print_result
    from headstart.cli.project import draw_sample
    from headstart.projects.new_project import begin

    made = begin(chosen.folder, chosen.demo, chosen.ci, draw_sample)
    print_result(chosen.json, lambda: _made(made), lambda: _next_steps(made, chosen.demo, chosen.ci))


def _made(made: "Made") -> dict[str, object]:
    return {"folder": str(made.root), "files": list(made.files), "commit": made.commit}


def _next_steps(made: "Made", demo: bool, ci: str | None) -> str:
    place = os.path.relpath(made.root)
    place = f"./{place}" if place.startswith("-") else place
    kept = "" if made.commit else "  git add . && git commit      # into the repository around it\n"
    if demo:
        steps = "  make demo                    # trains on the sample, 480 images, and registers a model\n"
    else:
        steps = (
            "  cp -r /path/to/images data   # one subfolder per class\n"
            "  dvc add data\n"
            "  make run                     # trains and registers; ImageNet weights are downloaded once\n"
        )
    if ci:
        steps += "  dvc remote modify local url ADDRESS   # CI cannot reach a folder of this machine\n"
    said = f"made {place}, a project of {len(made.files)} files. Now:\n\n  cd {shlex.quote(place)}\n"
    return f"{said}{kept}{steps}".rstrip()


def _upgrade(chosen: argparse.Namespace) -> None:
    root = enter_tree()
    from headstart.cli.json_output import print_result
    from headstart.projects import upgrading

    if chosen.show:
        text = upgrading.text_of(root, chosen.show)
        print_result(chosen.json, lambda: {"file": chosen.show, "text": text}, lambda: text.rstrip("\n"))
        return
    found = upgrading.plan(root)
    if not chosen.dry_run:
        upgrading.apply(root, found)
    print_result(chosen.json, found.as_dict, lambda: _report(found, chosen.dry_run))


def _report(found: "Upgrade", dry_run: bool) -> str:
    if not found.changes:
        return f"nothing to do: the project is at headstart {found.after}"
    same = found.before == found.after
    title = f"headstart {found.after}" if same else f"headstart {found.before} to {found.after}"
    rows = [("Would change" if dry_run else "Changed", title)]
    rows += [
        (label, ", ".join(names))
        for label, names in (
            ("Written again", found.written),
            ("New", found.added),
            ("Removed", found.removed),
            ("Added to params.yaml", [f"{key} ({json.dumps(value)})" for key, value in found.keys.items()]),
            ("Edited, so left", found.edited),
        )
        if names
    ]
    if found.edited:
        rows.append(("", f"`headstart upgrade --show {found.edited[0]}` prints the text of this version"))
    if found.by_hand:
        rows.append(("By hand", found.by_hand))
    rows += [(f"Runs again: {stage}", "; ".join(why)) for stage, why in found.stages.items()]
    if not found.stages:
        rows.append(("Runs again", "nothing"))
    return "\n".join(f"{label:<24}{text}".rstrip() for label, text in rows)
