"""Commands for the network: describe it, classify with it pretrained or trained, start from a head."""

import argparse
import sys
from pathlib import Path

from headstart.cli.commands import MODEL, NETWORK, Commands, add_json
from headstart.cli.entering import checked_params, enter_with
from headstart.errors import HeadstartError
from headstart.ground import paths
from headstart.host.project import enter_tree


def add_to(commands: Commands) -> None:
    """Add describe, classify, predict and init-from."""
    describe = commands.add(
        NETWORK,
        "describe",
        "describe the network by layer: shapes, parameters, what is trained, where the cut falls",
        _describe,
        example="headstart describe --classes 3",
    )
    describe.add_argument("--classes", type=int, help="default: those of data/, else 2")
    add_json(describe)
    classify = commands.add(
        NETWORK,
        "classify",
        "name what the pretrained network sees, by its 1000 ImageNet categories",
        _classify,
        example="headstart classify --top 3 photos/",
    )
    classify.add_argument("paths", nargs="+", metavar="IMAGE", help="files, folders or glob patterns")
    classify.add_argument("--top", type=int, default=5, help="categories per image; default: 5")
    add_json(classify, "one JSON line per image")
    predict = commands.add(
        NETWORK,
        "predict",
        "predict the class of images with a trained model",
        _predict,
        about="With --explain a page shows why: where the evidence in each picture lies, and the training "
        "images most like it.",
        example="headstart predict --model headstart@champion --explain why.html photos/",
    )
    predict.add_argument("paths", nargs="+", metavar="PATH", help="files, folders or glob patterns")
    predict.add_argument(
        "--model",
        help=f"{MODEL}, runs:/RUN/model, the folder of a downloaded model, or a head file next to its "
        f"backbone.safetensors; default: {paths.HEAD}",
    )
    predict.add_argument(
        "--explain", metavar="FILE", help="also write a page, FILE.html, about the first 200 images"
    )
    add_json(predict, "one JSON line per image")
    init = commands.add(
        NETWORK,
        "init-from",
        "start the next training from an earlier head",
        _init_from,
        example="headstart init-from headstart@champion",
    )
    init.add_argument("source", metavar="MODEL", help=f"{MODEL}, or a head file")
    add_json(init)


def _describe(chosen: argparse.Namespace) -> None:
    enter_tree()
    from headstart.cli.description import as_text, describe
    from headstart.cli.json_output import print_result
    from headstart.cli.network_params import classes_in
    from headstart.pipeline.network.network import network_spec, plan

    params = checked_params()
    note = ""
    if chosen.classes is not None:
        classes = tuple(str(number) for number in range(chosen.classes))
    elif paths.DATA.is_dir() and any(paths.DATA.iterdir()):
        classes = classes_in(paths.DATA, params.data)
    else:
        classes = ("first", "second")
        note = f"\nThere is no {paths.DATA}/: 2 classes are assumed (--classes N)"

    spec = network_spec(params.backbone, params.model, classes)
    found = describe(spec, plan(spec), 2 if params.features.precision == "bf16" else 4)
    print_result(chosen.json, lambda: found, lambda: as_text(found) + note)


def _classify(chosen: argparse.Namespace) -> None:
    files = enter_with(*chosen.paths)
    from headstart.cli.prediction_output import print_top
    from headstart.pipeline.data.limits import Limits
    from headstart.sources.finding import find_images
    from headstart.versions.serving.classifier import Classifier
    from headstart.versions.serving.scoring import score

    params = checked_params()
    images = find_images(files)
    source = params.backbone
    network = Classifier.load(source, params.preprocess.weights, Limits.of(params.validate_))
    if source.weights == "random":
        print(
            "backbone.weights is random: the network never learned these categories; set "
            "backbone.weights: IMAGENET1K_V1 in params.yaml",
            file=sys.stderr,
        )
    scored = score(images, network)
    print_top(scored, network.categories, images, chosen.top, chosen.json)


def _predict(chosen: argparse.Namespace) -> None:
    model, page, *files = enter_with(chosen.model or str(paths.HEAD), chosen.explain or "", *chosen.paths)
    model = model if chosen.model else str(paths.HEAD)
    explain = Path(page) if chosen.explain else None
    if explain is not None:
        _check_page(explain)
    from headstart.cli.prediction_output import print_predictions
    from headstart.sources.finding import find_images
    from headstart.versions.registry import tracking
    from headstart.versions.serving.opening import open_model
    from headstart.versions.serving.scoring import score

    with tracking.in_project(Path.cwd()):  # a folder may refer to layers that are in its database
        name, _, predictor = open_model(model)
    images = find_images(files)
    print(f"model: {name}, head {predictor.metadata['digest'][:12]}", file=sys.stderr)
    if explain is None:
        print_predictions(score(images, predictor), predictor.classes, images, chosen.json, predictor.refusal)
        return
    from headstart.ground.files import write_text
    from headstart.versions.serving.explaining import Explaining

    explaining = Explaining(predictor, name)
    print_predictions(explaining.score(images), predictor.classes, images, chosen.json, predictor.refusal)
    write_text(explain, explaining.page())
    print(f"explained: {chosen.explain}", file=sys.stderr)


def _check_page(page: Path) -> None:
    """Refuse what a page would overwrite or could not be written to, before any work."""
    if page.suffix.lower() not in (".html", ".htm") or page.is_dir():
        raise HeadstartError(f"--explain: {page} is not a page; name a file that ends with .html")
    if not page.parent.is_dir():
        raise HeadstartError(f"--explain: there is no folder {page.parent}; make it, or name another")


def _init_from(chosen: argparse.Namespace) -> None:
    [source] = enter_with(chosen.source)
    from headstart.cli.json_output import print_result
    from headstart.versions.provenance.initial_head import init_from

    head = init_from(source)
    print_result(chosen.json, head.as_dict, head.sentence)
