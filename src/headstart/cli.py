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
from headstart.owner import end_with_owner
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
    except Exception as error:
        if not any(text in str(error) for text in DISK_FULL):
            raise
        sys.exit(
            f"headstart {chosen.command}: error: the disk is full: {error}; make room and run it again: what "
            "was made is kept"
        )
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(1)


DISK_FULL = ("No space left on device", "Disk quota exceeded")  # libraries keep the text, not the number


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
    _add_model_commands(commands)
    _add_scoring_commands(commands)
    _add_provenance_commands(commands)
    _add_gate(commands)
    _add_promotion_commands(commands)
    _add_monitor_commands(commands)
    _add_services(commands)
    show = commands.add_parser("show", help="the last results, and the commands to look further")
    show.set_defaults(run=_show)
    return parser


@dataclass(frozen=True)
class Stage:
    """A stage as a command: its parameters are looked up here, so that stages take plain values.

    `computes`: it uses the accelerators, which are its own until it ends.
    """

    name: str
    help: str
    call: "Callable[[Params], str]"
    computes: bool = False

    def __call__(self, chosen: argparse.Namespace) -> None:
        enter_tree()
        end_with_owner()
        params = _params()
        if self.computes:
            from headstart import exclusive, runtime

            exclusive.hold(runtime.accelerators(), lambda text: print(f"{self.name}: {text}", flush=True))
        print(f"{self.name}: {self.call(params)}", flush=True)


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
    Stage("features", "run the frozen part of the network once an image", _features, True),
    Stage("train", "train the head on the stored features", _train, True),
    Stage("evaluate", "measure the head on the test split and write the report", _evaluate, True),
)


def _add_sample(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    sample = commands.add_parser("sample", help="draw the sample data: brushed metal, ok and scratch")
    sample.add_argument("folder", nargs="?", default="data", type=Path, help="default: data")
    sample.set_defaults(run=_sample)


def _add_model_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    about = "the network layer by layer: shapes, parameters, what is trained, where the cut falls"
    describe = commands.add_parser("describe", help=about, description=about)
    describe.add_argument("--classes", type=int, help="default: those of data/, else 2")
    describe.add_argument("--json", action="store_true", help="as JSON")
    describe.set_defaults(run=_describe)
    about = "what the pretrained network as it is sees: the best of its 1000 ImageNet categories"
    classify = commands.add_parser("classify", help=about, description=about)
    classify.add_argument("paths", nargs="+", metavar="IMAGE", help="files, folders or glob patterns")
    classify.add_argument("--top", type=int, default=5, help="categories an image; default: 5")
    classify.add_argument("--json", action="store_true", help="a JSON line an image")
    classify.set_defaults(run=_classify)
    about = "what a trained model says of images"
    predict = commands.add_parser("predict", help=about, description=about)
    predict.add_argument("paths", nargs="+", metavar="PATH", help="files, folders or glob patterns")
    predict.add_argument(
        "--model",
        help="models:/NAME/VERSION, models:/NAME@ALIAS, runs:/RUN/model, or a head file beside its "
        f"backbone.safetensors; default: {paths.HEAD}",
    )
    predict.add_argument("--json", action="store_true", help="a JSON line an image")
    predict.set_defaults(run=_predict)
    about = "start the next training from an earlier head"
    init = commands.add_parser("init-from", help=about, description=about)
    init.add_argument("source", metavar="MODEL", help="models:/NAME/VERSION, models:/NAME@ALIAS, a head file")
    init.set_defaults(run=_init_from)


def _add_scoring_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    about = (
        "what one exact version says of many images, a row each in a Parquet file; started again after a "
        "kill it goes on where it was"
    )
    score = commands.add_parser("score", help="score many images into a Parquet file", description=about)
    score.add_argument(
        "source", metavar="IN", help="a folder, a glob pattern, or a list: .txt, or .csv/.parquet with `path`"
    )
    score.add_argument("out", metavar="OUT", help="the Parquet file")
    score.add_argument(
        "--model",
        default="models:/headstart@champion",
        help="models:/NAME/VERSION, models:/NAME@ALIAS or runs:/RUN/model; default: %(default)s",
    )
    score.add_argument("--batch", type=int, default=32, metavar="N", help="images in a pass; default: 32")
    score.set_defaults(run=_score)


def _add_services(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    about = "Prefect and MLflow servers and workers on this machine; make services starts them"
    services = commands.add_parser("services", help=about, description=about)
    services.add_argument("action", choices=("start", "stop"))
    services.add_argument(
        "--gpu",
        choices=("auto", "cpu", "none"),
        default="auto",
        help="workers that take the features and train stages: one a GPU; cpu: one without a GPU, to try it",
    )
    services.add_argument("--prefect-port", type=int, default=4200, help="default: 4200")
    services.add_argument("--mlflow-port", type=int, default=5000, help="default: 5000")
    services.add_argument("--guard-port", type=int, default=4300, help="default: 4300")
    services.set_defaults(run=_services)


VERSION = "models:/NAME/VERSION, models:/NAME@ALIAS, or runs:/ID"


def _add_provenance_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    about = (
        "make a version again from its MLflow record, git and DVC, and compare every result; exit status 0: "
        "identical, 3: within tolerance on another kind of machine, 4: different, 1: it could not be done"
    )
    again = commands.add_parser("reproduce", help="make a version again and compare", description=about)
    again.add_argument("model", metavar="MODEL_OR_RUN", help=VERSION)
    again.add_argument(
        "--from",
        dest="start",
        metavar="STAGE",
        help="first stage to run, default: preprocess; later is partial",
    )
    again.add_argument("--tolerance", type=float, help="of metrics and probabilities, default: 0.02")
    again.add_argument(
        "--environment",
        choices=("recorded", "current"),
        help="recorded (default): made of the recorded lock where this one differs; current: this one",
    )
    again.add_argument(
        "--json", type=Path, metavar="FILE", help="the report; default: reports/reproductions/"
    )
    again.add_argument("--keep", action="store_true", help="keep the clone in which it was made")
    again.add_argument("--tag", action="store_true", help="write the verdict on the version, as `reproduced`")
    again.set_defaults(run=_reproduce)
    about = "what made a version: commit, data, parameters, backbone, environment, machine, gate, parent"
    origin = commands.add_parser("lineage", help="what made a version, as one page", description=about)
    origin.add_argument("model", metavar="MODEL", help=VERSION)
    origin.add_argument("--json", action="store_true", help="as JSON")
    origin.add_argument("--html", type=Path, metavar="FILE", help="as a page too")
    origin.set_defaults(run=_lineage)
    about = "what changed between two versions: images, parameters, code, environment, metrics, predictions"
    compare = commands.add_parser("compare", help="what changed between two versions", description=about)
    compare.add_argument("before", metavar="A", help=VERSION)
    compare.add_argument("after", metavar="B", help=VERSION)
    compare.add_argument("--json", action="store_true", help="as JSON")
    compare.add_argument("--html", type=Path, metavar="FILE", help="default: reports/comparisons/A..B.html")
    compare.set_defaults(run=_compare)
    about = (
        "remove from DVC's cache and remote what no branch, tag, recent run or registered version needs; "
        "without --delete it only says what it would remove"
    )
    gc = commands.add_parser(
        "gc", help="remove what nothing needs from DVC's cache and remote", description=about
    )
    gc.add_argument("--delete", action="store_true", help="remove; default: a dry run")
    gc.add_argument("--cache-only", action="store_true", help="leave the remote as it is")
    gc.add_argument("--remote", metavar="NAME", help="of DVC; default: its default remote")
    gc.add_argument(
        "--days", type=float, default=7, help="runs under refs/runs younger than this are kept; default: 7"
    )
    gc.add_argument(
        "--project",
        action="append",
        default=[],
        metavar="PATH",
        help="another clone with this cache or remote",
    )
    gc.add_argument("--no-versions", action="store_true", help="delete although MLflow has no version")
    gc.set_defaults(run=_gc)


def _add_gate(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    about = (
        "judge a version: thresholds, the champion on the same images, changed pictures, limits; the figures "
        "are recorded on the version, aliases stay as they are; exit status 0: passed, 3: inconclusive, "
        "4: failed, 1: it could not be done"
    )
    gate = commands.add_parser("gate", help="judge a version as the flow does", description=about)
    gate.add_argument(
        "model",
        nargs="?",
        metavar="MODEL",
        help="models:/NAME/VERSION or models:/NAME@ALIAS; default: the version of the results in this tree",
    )
    gate.add_argument("--json", action="store_true", help="every check as JSON")
    gate.set_defaults(run=_gate)


def _add_promotion_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    about = "make a version champion: the gate, the alias, the journal; refused where the gate does not pass"
    promote = commands.add_parser("promote", help="make a version champion", description=about)
    promote.add_argument("model", metavar="MODEL", help="models:/NAME/VERSION or models:/NAME@ALIAS")
    promote.add_argument("--why", default="", metavar="TEXT", help="the reason, for the journal")
    promote.add_argument("--override", metavar="TEXT", help="promote although the gate does not pass: why")
    promote.set_defaults(run=_promote)
    about = "make the champion before this one champion again, by the journal and without the gate"
    rollback = commands.add_parser("rollback", help="take the last promotion back", description=about)
    rollback.add_argument("model", nargs="?", metavar="MODEL", help="a name; default: register.model")
    rollback.add_argument("--why", default="", metavar="TEXT", help="the reason, for the journal")
    rollback.set_defaults(run=_rollback)
    about = "every change of champion: what, when, who and why; exit status 3: the journal was tampered with"
    history = commands.add_parser("history", help="every change of champion", description=about)
    history.add_argument("model", nargs="?", metavar="MODEL", help="a name; default: register.model")
    history.add_argument("--json", action="store_true", help="as JSON")
    history.set_defaults(run=_history)
    about = "receive MLflow's webhooks, and start the flow that judges promotions made by hand"
    guard = commands.add_parser("guard", help=about, description=about)
    guard.add_argument("--host", default="127.0.0.1", help="address to listen at; default: 127.0.0.1")
    guard.add_argument("--port", type=int, default=4300, help="default: 4300")
    guard.add_argument("--url", help="under which MLflow reaches it; default: http://HOST:PORT/mlflow")
    guard.set_defaults(run=_guard)


def _add_monitor_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    about = (
        "new images against those that a version was made of: classes, confidence, features, brightness, "
        "size, format; exit status 0: no drift, 3: drift, 4: too few images, 1: it could not be done"
    )
    monitor = commands.add_parser("monitor", help="do new images still look like those of training?")
    monitor.description = about
    monitor.add_argument("paths", nargs="*", metavar="PATH", help="folders, files, patterns; monitor.source")
    monitor.add_argument("--model", help="models:/NAME/VERSION, models:/NAME@ALIAS; default: the champion")
    monitor.add_argument("--json", type=Path, metavar="FILE", help="the result as JSON too")
    monitor.add_argument("--html", type=Path, metavar="FILE", help="default: reports/monitoring.html")
    monitor.set_defaults(run=_monitor)


def _monitor(chosen: argparse.Namespace) -> None:
    json_path, page_path, *given = _enter_with(
        str(chosen.json or paths.MONITORING), str(chosen.html or paths.MONITORING), *chosen.paths
    )
    from headstart.monitoring import run

    params = _params()
    model = chosen.model or f"models:/{params.register_.model}@champion"
    found = run.monitor(
        run.sources_of(given, params.monitor.source),
        model,
        run.rules_of(params.monitor),
        lambda text: print(text, file=sys.stderr, flush=True),
    )
    page = Path(page_path) if chosen.html else paths.MONITORING
    found.write(page, Path(json_path) if chosen.json else None)
    print(f"{found.as_text()}\n\nPage: {page}")
    sys.exit({"no drift": 0, "drift": 3, "inconclusive": 4}[found.found.verdict])


def _describe(chosen: argparse.Namespace) -> None:
    enter_tree()
    import json

    from headstart.model.description import as_text, describe
    from headstart.model.network import plan
    from headstart.network_params import classes_in, spec_for

    params = _params()
    note = ""
    if chosen.classes is not None:
        classes = tuple(str(number) for number in range(chosen.classes))
    elif paths.DATA.is_dir() and any(paths.DATA.iterdir()):
        classes = classes_in(paths.DATA)
    else:
        classes = ("first", "second")
        note = f"\nThere is no {paths.DATA}/: 2 classes are assumed (--classes N)"
    spec = spec_for(params, classes)
    found = describe(spec, plan(spec), 2 if params.features.precision == "bf16" else 4)
    print(json.dumps(found, indent=2) if chosen.json else as_text(found) + note)


def _classify(chosen: argparse.Namespace) -> None:
    files = _enter_with(*chosen.paths)
    from headstart.data.finding import find_images
    from headstart.model.backbone import BackboneSource
    from headstart.model.classifier import Classifier
    from headstart.model.scoring import score
    from headstart.prediction_output import print_top

    params = _params()
    images = find_images(files)
    source = BackboneSource(**params.backbone.model_dump())
    network = Classifier.load(source, params.preprocess.weights)
    if source.weights == "random":
        print(
            "backbone.weights is random: the network never learned these categories; set "
            "backbone.weights: IMAGENET1K_V1 in params.yaml",
            file=sys.stderr,
        )
    scored = score(images, network.transform, network.predict_pixels)
    print_top(scored, network.categories, images, chosen.top, chosen.json)


def _predict(chosen: argparse.Namespace) -> None:
    model, *files = _enter_with(chosen.model or str(paths.HEAD), *chosen.paths)
    model = model if chosen.model else str(paths.HEAD)
    from headstart.data.finding import find_images
    from headstart.model.predictor import Predictor
    from headstart.model.scoring import score
    from headstart.prediction_output import print_predictions

    images = find_images(files)
    name, head, backbone = _model_files(model)
    predictor = Predictor.load(head, backbone)
    print(f"model: {name}, head {predictor.metadata['digest'][:12]}", file=sys.stderr)
    scored = score(images, predictor.transform, predictor.predict_pixels)
    print_predictions(scored, predictor.classes, images, chosen.json)


def _score(chosen: argparse.Namespace) -> None:
    source, out = _enter_with(chosen.source, chosen.out)
    from headstart.batch_scoring import score_to_file
    from headstart.progress import bar

    with bar(0, "score") as progress:

        def show(done: int, total: int) -> None:
            if progress.total != total:  # the first call says what an earlier run has done
                progress.reset(total)
                progress.initial = progress.n = done
                if done:
                    progress.write(f"score: {done} of {total} are done already", file=sys.stderr)
            progress.update(done - progress.n)

        scored = score_to_file(source, Path(out), chosen.model, chosen.batch, show)
    print(scored.sentence())


def _model_files(model: str) -> tuple[str, Path, Path]:
    """Name, head and backbone of a model in MLflow or of a head file."""
    if model.startswith(("models:/", "runs:/")):
        from headstart.registry import models

        stored = models.fetch(model)
        return stored.name, stored.head, stored.backbone()
    head = Path(model)
    if not head.exists():
        raise HeadstartError(
            f"there is no head file {model}; train one (`dvc repro`), or name a version: "
            "--model models:/headstart@champion"
        )
    beside = head.with_name(paths.BACKBONE.name)
    return model, head, beside if beside.exists() else paths.BACKBONE


def _enter_with(*given: str) -> list[str]:
    """Enter the tree, and return paths that were typed in another folder as they are seen from its root."""
    here = Path.cwd()
    root = enter_tree()
    return [_seen_from(root, here, path) for path in given]


def _seen_from(root: Path, here: Path, path: str) -> str:
    return path if ":/" in path or Path(path).is_absolute() else os.path.relpath(here / path, root)


def _init_from(chosen: argparse.Namespace) -> None:
    [source] = _enter_with(chosen.source)
    from headstart.initial_head import init_from

    print(init_from(source))


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


def _flow_path(root: Path) -> str:
    """Where a process of `flows/` imports from."""
    inherited = os.environ.get("PYTHONPATH")
    return os.pathsep.join(filter(None, (str(root / "src"), str(root), inherited)))


def _run_flow(chosen: argparse.Namespace) -> None:
    root = enter_tree()
    environment = {**os.environ, "HEADSTART_PYTHON": sys.executable, "PYTHONPATH": _flow_path(root)}
    flow = subprocess.run([sys.executable, str(root / "flows" / "training.py")], env=environment)
    sys.exit(flow.returncode)


def _register(chosen: argparse.Namespace) -> None:
    enter_tree()
    from headstart import lineage
    from headstart.provenance import keeping
    from headstart.registry import registration, tracking

    params = _params()
    settings = params.register_
    tracking.connect()
    if not lineage.stale():  # else registration says what is out of date
        print(f"dvc push: {lineage.push()}")
    registered = registration.register(
        settings.model,
        settings.experiment,
        params.model_dump(by_alias=True),
        settings.package,
        settings.dirty,
    )
    if registered.is_new:
        print(keeping.keep_run(registered.run_id))
    if not registered.is_settled:
        from headstart.provenance.judging import judge
        from headstart.registry import aliases

        decision = judge(registered.name, registered.version, params, _say_gate)
        registered = aliases.settle(registered, decision)
        print(decision.sentence())
    print(registered.sentence())


def _gate(chosen: argparse.Namespace) -> None:
    enter_tree()
    import json

    from headstart.provenance.judging import judge
    from headstart.registry import versions

    params = _params()
    name, number = versions.named(chosen.model, params.register_.model)
    decision = judge(name, number, params, _say_gate)
    print(json.dumps(decision.as_dict(), indent=2) if chosen.json else decision.as_text())
    sys.exit({"passed": 0, "inconclusive": 3, "failed": 4}[decision.verdict])


def _promote(chosen: argparse.Namespace) -> None:
    enter_tree()
    from headstart.registry import gate, promotion, versions

    params = _params()
    name, number = versions.named(chosen.model, params.register_.model)
    settings = gate.GateSettings.of(params)
    done = promotion.promote(name, number, settings, _user(), chosen.why, chosen.override, _say_gate)
    print(done.sentence)


def _rollback(chosen: argparse.Namespace) -> None:
    enter_tree()
    from headstart.registry import promotion

    name = chosen.model or _params().register_.model
    print(promotion.rollback(name, _user(), chosen.why).sentence)


def _history(chosen: argparse.Namespace) -> None:
    enter_tree()
    from headstart.registry import journal, tracking

    name = chosen.model or _params().register_.model
    client = tracking.connect()
    with tracking.translated("read the journal"):
        found = journal.read(client, name)
    print(journal.as_json(found) if chosen.json else journal.as_text(name, found))
    for fault in found.faults:
        print(f"the journal was tampered with: {fault}", file=sys.stderr)
    sys.exit(3 if found.faults else 0)


def _guard(chosen: argparse.Namespace) -> None:
    root = enter_tree()
    os.environ["PYTHONPATH"] = _flow_path(root)
    script = str(root / "flows" / "guard.py")
    given = ["--host", chosen.host, "--port", str(chosen.port)]
    given += ["--url", chosen.url] if chosen.url else []
    os.execv(sys.executable, [sys.executable, script, *given])


def _user() -> str:
    """Who types: the name that MLflow would record too."""
    import getpass

    try:
        return os.environ.get("MLFLOW_TRACKING_USERNAME") or getpass.getuser()
    except (KeyError, OSError):  # a user id without a name
        return f"user {os.getuid()}"


def _say_gate(text: str) -> None:
    print(f"gate: {text}", file=sys.stderr, flush=True)


def _reproduce(chosen: argparse.Namespace) -> None:
    [report] = _enter_with(*([str(chosen.json)] if chosen.json else [""]))
    from headstart.files import write_json
    from headstart.provenance import reproduction
    from headstart.registry import versions

    given = {name: getattr(chosen, name) for name in ("start", "tolerance", "environment")}
    options = reproduction.Options(
        **{name: value for name, value in given.items() if value is not None}, keep=chosen.keep
    )
    made = reproduction.reproduce(
        chosen.model, options, lambda text: print(text, file=sys.stderr, flush=True)
    )
    path = Path(report) if chosen.json else reproduction.default_report(made)
    write_json(path, made.to_dict())
    print(f"{made.as_text()}\n{'Report':<25}{path}")
    verdict = made.found.verdict
    if chosen.tag:
        partial = f" (from {made.stages[0]} on)" if made.is_partial else ""
        versions.tag(made.name, "reproduced", f"{verdict}{partial}")
    sys.exit({"identical": 0, "within tolerance": 3, "different": 4}[verdict])


def _lineage(chosen: argparse.Namespace) -> None:
    [page_path] = _enter_with(str(chosen.html or ""))
    from tempfile import TemporaryDirectory

    from headstart.files import write_text
    from headstart.provenance import origin
    from headstart.registry.record import open_record

    with TemporaryDirectory() as folder:
        record = open_record(chosen.model, Path(folder))
        page = origin.origin_of(record)
        name = record.name
    if chosen.html:
        write_text(Path(page_path), origin.as_html(page, f"What made {name}"))
    print(origin.as_json(page) if chosen.json else origin.as_text(page))


def _compare(chosen: argparse.Namespace) -> None:
    [page_path] = _enter_with(str(chosen.html or ""))
    from tempfile import TemporaryDirectory

    from headstart.files import write_text
    from headstart.provenance import comparison
    from headstart.registry.record import open_record

    with TemporaryDirectory() as left, TemporaryDirectory() as right:
        before, after = open_record(chosen.before, Path(left)), open_record(chosen.after, Path(right))
        found = comparison.with_thumbnails(comparison.compare(before, after), after)
    names = [name.partition(":/")[2].replace("/", "-") for name in (found.before, found.after)]
    path = Path(page_path) if chosen.html else Path("reports/comparisons") / f"{names[0]}..{names[1]}.html"
    write_text(path, comparison.as_html(found))
    print(comparison.as_json(found) if chosen.json else f"{comparison.as_text(found)}\n\nPage: {path}")


def _services(chosen: argparse.Namespace) -> None:
    enter_tree()
    from headstart import services

    if chosen.action == "stop":
        print(services.stop())
    else:
        print(services.start(chosen.gpu, chosen.prefect_port, chosen.mlflow_port, chosen.guard_port))


def _gc(chosen: argparse.Namespace) -> None:
    projects = _enter_with(*chosen.project)
    from headstart.provenance import collection

    remote = None if chosen.cache_only else chosen.remote or ""
    print(
        collection.collect_garbage(
            days=chosen.days,
            remote=remote,
            projects=[str(Path(project).resolve()) for project in projects],
            delete=chosen.delete,
            without_versions=chosen.no_versions,
        )
    )


def _tracking(chosen: argparse.Namespace) -> None:
    enter_tree()
    from headstart.registry import tracking

    tracking.connect()
    print(tracking.without_password(tracking.tracking_uri()))


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
