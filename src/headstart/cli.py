"""The command line: a command a stage, and what a person does around them. Heavy imports come late."""

import argparse
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from headstart import __version__, paths
from headstart.errors import HeadstartError
from headstart.tree import enter_tree

if TYPE_CHECKING:
    from headstart.params import Params


def main(arguments: list[str] | None = None) -> None:
    """Run one command; exits 1 with a message, not a traceback, on what a user can mend."""
    parser = make_parser()
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        chosen.run(chosen)
    except HeadstartError as error:
        sys.exit(f"headstart {chosen.command}: error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(1)


def make_parser() -> argparse.ArgumentParser:
    """The commands and their help."""
    parser = argparse.ArgumentParser(
        prog="headstart",
        description="Fine-tune a new head on a frozen VGG16 and carry it to production.",
    )
    parser.add_argument("--version", action="version", version=f"headstart {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for stage in STAGES:
        command = commands.add_parser(stage.name, help=f"stage: {stage.help}", description=stage.help)
        command.set_defaults(run=stage)
    _add_sample(commands)
    data = commands.add_parser("data", help="have the images that data.dvc names: draw the sample or pull")
    data.set_defaults(run=_data)
    run = commands.add_parser("run", help="the training flow: every stage, then register")
    run.set_defaults(run=_run_flow)
    register = commands.add_parser("register", help="register what the stages made in MLflow")
    register.set_defaults(run=_register)
    docs = commands.add_parser("docs", help="render the validation pages (Data Docs)")
    docs.set_defaults(run=_docs)
    tracking = commands.add_parser("tracking", help="make the tracking database, and say where it is")
    tracking.set_defaults(run=_tracking)
    show = commands.add_parser("show", help="the last results, and the commands to look further")
    show.set_defaults(run=_show)
    return parser


@dataclass(frozen=True)
class Stage:
    """A stage as a command: its parameters are looked up here, so that stages take plain values."""

    name: str
    help: str
    call: "Callable[[Params], str]"

    def __call__(self, chosen: argparse.Namespace) -> None:
        enter_tree()
        print(f"{self.name}: {self.call(_params())}", flush=True)


def _params() -> "Params":
    """params.yaml, with a network that can be built: what does not fit is an error before any work."""
    from headstart.network_params import check_network
    from headstart.params import load_params

    params = load_params(paths.PARAMS)
    check_network(params, paths.DATA)
    return params


def _backbone(params: "Params") -> str:
    from headstart.model.backbone import BackboneSource
    from headstart.stages import backbone

    return backbone.run(BackboneSource(**params.backbone.model_dump()))


def _validate(params: "Params") -> str:
    from headstart.data.rules import FileRules, SetRules
    from headstart.stages import validate

    rules = params.validate_
    files = FileRules(tuple(rules.formats), tuple(rules.modes), rules.min_size, None)
    images = SetRules(
        min_images_per_class=rules.min_images_per_class,
        min_images_per_split=1,
        max_excluded=rules.max_excluded,
    )
    policy = validate.Policy(rules.on_bad_file, params.split.fractions, params.split.seed)
    return validate.run(files, images, policy)


def _preprocess(params: "Params") -> str:
    from headstart.stages import preprocess

    return preprocess.run(params.backbone.arch, params.preprocess.weights)


def _features(params: "Params") -> str:
    from headstart.stages import features

    options = features.Options(transform_weights=params.preprocess.weights, **params.features.model_dump())
    return features.run(params.backbone.arch, params.backbone.width, params.model.model_dump(), options)


def _train(params: "Params") -> str:
    from headstart.model.training import TrainOptions
    from headstart.stages import train

    values = params.train.model_dump()
    apart = {name: values.pop(name) for name in ("class_weights", "init", "trials")}
    return train.run(train.Options(TrainOptions(**values), **apart))


def _evaluate(params: "Params") -> str:
    from headstart.stages import evaluate

    return evaluate.run(evaluate.Options(**params.evaluate.model_dump()))


STAGES = (
    Stage("backbone", "write the frozen network's weights, with source and digest", _backbone),
    Stage("validate", "check every image file, leave bad ones out, assign the splits", _validate),
    Stage("preprocess", "resize and crop every image, packed in one array", _preprocess),
    Stage("features", "run the frozen part of the network once an image", _features),
    Stage("train", "train the head on the stored features", _train),
    Stage("evaluate", "measure the head on the test split and write the report", _evaluate),
)


def _add_sample(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    sample = commands.add_parser("sample", help="draw the sample data: brushed metal, ok and scratch")
    sample.add_argument("folder", nargs="?", default="data", type=Path, help="default: data")
    sample.set_defaults(run=_sample)


def _sample(chosen: argparse.Namespace) -> None:
    from headstart.data import sample
    from headstart.progress import bar

    total = len(sample.LABELS) * sample.IMAGES_PER_CLASS
    with bar(total, "sample") as progress:

        def show(done: int, total: int) -> None:
            progress.update(done - progress.n)

        sample.draw_sample(chosen.folder, report=show)
    print(f"drew {total} images in {chosen.folder}")


def _data(chosen: argparse.Namespace) -> None:
    enter_tree()
    from headstart import lineage
    from headstart.data.sample import DVC_DIGEST

    if paths.DATA.is_dir() and any(paths.DATA.iterdir()):
        print(f"{paths.DATA}/ is there already; nothing was drawn or pulled")
    elif lineage.data_version() == DVC_DIGEST:
        chosen.folder = paths.DATA
        _sample(chosen)
        lineage.cache_data()
    else:
        lineage.pull_data()


def _run_flow(chosen: argparse.Namespace) -> None:
    root = enter_tree()
    inherited = os.environ.get("PYTHONPATH")
    source = os.pathsep.join(filter(None, (str(root / "src"), inherited)))
    environment = {**os.environ, "HEADSTART_PYTHON": sys.executable, "PYTHONPATH": source}
    flow = subprocess.run([sys.executable, str(root / "flows" / "training.py")], env=environment)
    sys.exit(flow.returncode)


def _register(chosen: argparse.Namespace) -> None:
    enter_tree()
    from headstart.registry import registration

    params = _params()
    settings = params.register_
    registered = registration.register(
        settings.model,
        settings.experiment,
        settings.thresholds.model_dump(),
        params.model_dump(by_alias=True),
    )
    print(registered.sentence())


def _tracking(chosen: argparse.Namespace) -> None:
    enter_tree()
    from headstart.registry import tracking

    tracking.connect()
    print(tracking.tracking_uri())


def _docs(chosen: argparse.Namespace) -> None:
    enter_tree()
    import json

    from headstart.data.docs import render_data_docs

    if not paths.VALIDATION.exists():
        raise HeadstartError(f"there is no {paths.VALIDATION}; run `dvc repro validate` first")
    validation = json.loads(paths.VALIDATION.read_text(encoding="utf-8"))
    print(render_data_docs(validation, paths.DATA_DOCS))


def _show(chosen: argparse.Namespace) -> None:
    enter_tree()
    from headstart.summary import summary

    print(summary())
