"""Commands for a project: its data, the training flow, the results and their pages."""

import argparse
import os
import sys
from pathlib import Path

from headstart.cli.commands import MACHINE, PROJECT, Commands, add_json
from headstart.cli.entering import import_path
from headstart.cli.json_output import print_result
from headstart.errors import HeadstartError, without_password
from headstart.ground import paths
from headstart.ground.reading import load_json
from headstart.host.project import enter_tree
from headstart.orchestration.prefect_server import check_server


def add_to(commands: Commands) -> None:
    """Add sample, data, run, show, docs and tracking."""
    sample = commands.add(
        PROJECT,
        "sample",
        "draw the sample data: brushed metal, ok and scratched",
        _sample,
        example="headstart sample data",
    )
    sample.add_argument("folder", nargs="?", default="data", type=Path, help="default: data")
    add_json(sample)
    data = commands.add(
        PROJECT,
        "data",
        "get the images listed in data.dvc: draw the sample, or pull them from the DVC remote",
        _data,
    )
    add_json(data)
    about = (
        "Every stage that is out of date runs; `dvc repro` finds nothing to do afterwards. Exit status 0: "
        "passed the gate or nothing had changed, 3: inconclusive, 4: did not pass the gate, 1: it failed."
    )
    run = commands.add(
        PROJECT, "run", "run the training flow: every stage, then register", _run_flow, about=about
    )
    add_json(run)
    show = commands.add(PROJECT, "show", "show the last results, and where to look further", _show)
    add_json(show)
    docs = commands.add(PROJECT, "docs", "render the validation pages (Data Docs)", _docs)
    add_json(docs)
    tracking = commands.add(
        MACHINE, "tracking", "create the tracking database if there is none, and print its address", _tracking
    )
    add_json(tracking)


def _sample(chosen: argparse.Namespace) -> None:
    classes = draw_sample(chosen.folder)
    total = sum(classes.values())
    print_result(
        chosen.json,
        lambda: {"folder": str(chosen.folder), "images": total, "classes": classes},
        lambda: f"drew {total} images in {chosen.folder}",
    )


def draw_sample(folder: Path) -> dict[str, int]:
    """Draw the sample with a progress bar, and return the number of images by class."""
    from headstart.progress import bar
    from headstart.sources import sample

    classes = dict.fromkeys(sample.LABELS, sample.IMAGES_PER_CLASS)
    with bar(sum(classes.values()), "sample") as progress:

        def show(done: int, total: int) -> None:
            progress.update(done - progress.n)

        sample.draw_sample(folder, images_per_class=sample.IMAGES_PER_CLASS, report=show)
    return classes


def _data(chosen: argparse.Namespace) -> None:
    enter_tree()
    how, said = _bring_data()
    print_result(chosen.json, lambda: {"folder": str(paths.DATA), "how": how}, lambda: said)


def _bring_data() -> tuple[str, str]:
    """Draw or pull the images that data.dvc names, if there are none; return which, and a sentence."""
    from headstart import repository
    from headstart.sources.sample import DVC_DIGEST

    if paths.DATA.is_dir() and any(paths.DATA.iterdir()):
        return "present", f"{paths.DATA}/ already exists; nothing was drawn or pulled"
    if repository.data_version() == DVC_DIGEST:
        drawn = draw_sample(paths.DATA)
        repository.cache_data()
        return "drawn", f"drew {sum(drawn.values())} images in {paths.DATA}/"
    repository.pull_data()
    return "pulled", f"pulled {paths.DATA}/ from the DVC remote"


def _run_flow(chosen: argparse.Namespace) -> None:
    root = enter_tree()
    from headstart.repository import code_lock

    code_lock.check()
    check_server()
    environment = {**os.environ, "HEADSTART_PYTHON": sys.executable, "PYTHONPATH": import_path(root)}
    flow = [sys.executable, str(root / "flows" / "training.py"), *(["--json"] if chosen.json else [])]
    os.execve(sys.executable, flow, environment)  # this process becomes the flow: a signal ends it


def _docs(chosen: argparse.Namespace) -> None:
    enter_tree()

    from headstart.pipeline.data_docs.pages import render_data_docs

    if not paths.VALIDATION.exists():
        raise HeadstartError(f"there is no {paths.VALIDATION}; run `dvc repro validate` first")
    validation = load_json(paths.VALIDATION)
    page = render_data_docs(validation, paths.DATA_DOCS)
    print_result(chosen.json, lambda: {"page": str(page)}, lambda: str(page))


def _tracking(chosen: argparse.Namespace) -> None:
    enter_tree()
    from headstart.versions.registry import tracking

    tracking.connect()
    address = without_password(tracking.tracking_uri())
    print_result(chosen.json, lambda: {"address": address}, lambda: address)


def _show(chosen: argparse.Namespace) -> None:
    enter_tree()
    from headstart.cli import summary

    found = summary.last_results()
    print_result(chosen.json, found.as_dict, found.as_text)
