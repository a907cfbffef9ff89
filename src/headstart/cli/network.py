"""Commands for the network: describe it, classify with it pretrained or trained, start from a head."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart.cli.commands import MODEL, NETWORK, Commands, add_json
from headstart.cli.entering import enter_any, enter_with, naming_options, params_of
from headstart.errors import HeadstartError
from headstart.ground import paths

if TYPE_CHECKING:
    from headstart.pipeline.data.settings import Data

PRETRAINED = "IMAGENET1K_V1"
PARAMS_HELP = "instead of the project's params.yaml; default outside of a project: the default of every key"
NO_MODEL = (
    "there is no project here, and so no trained head: name a model with --model, such as "
    "models:/headstart@champion, the folder of a downloaded or exported model, or a head file"
)


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
    _add_network(describe)
    describe.add_argument("--head", help="instead of model.head: linear, mlp or pooled")
    describe.add_argument(
        "--train", nargs="*", metavar="LAYER", help="instead of model.train: layers to train besides new ones"
    )
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
    _add_network(classify)
    classify.add_argument(
        "--weights",
        metavar="NAME_OR_FILE",
        help="instead of backbone.weights: torchvision's name, or a file; default outside of a project: "
        f"{PRETRAINED}",
    )
    classify.add_argument("--sha256", metavar="DIGEST", help="of a file that --weights names")
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
        help=f"{MODEL}, runs:/RUN/model, the folder of a downloaded or exported model, or a head file "
        f"next to its backbone.safetensors; default: the project's {paths.HEAD}",
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


def _add_network(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--params", metavar="FILE", help=PARAMS_HELP)
    parser.add_argument("--arch", help="instead of backbone.arch: torchvision's name, such as vgg16_bn")


def _describe(chosen: argparse.Namespace) -> None:
    root, [file] = enter_any(chosen.params or "")
    from headstart.cli.description import as_text, describe
    from headstart.cli.json_output import print_result
    from headstart.pipeline.network.network import network_spec, plan

    changes = {"backbone": _given(arch=chosen.arch), "model": _given(head=chosen.head, train=chosen.train)}
    with naming_options(_options(chosen, "backbone.arch", "model.head", "model.train")):
        params = params_of(root, file, changes)
        classes, note = _classes(chosen.classes, root, params.data)
        spec = network_spec(params.backbone, params.model, classes)
        found = describe(spec, plan(spec), 2 if params.features.precision == "bf16" else 4)
    print_result(chosen.json, lambda: found, lambda: as_text(found) + note)


def _classes(number: int | None, root: Path | None, data: "Data") -> tuple[tuple[str, ...], str]:
    """The classes to describe a network for, and a note if they are assumed."""
    from headstart.cli.network_params import classes_in

    if number is not None:
        return tuple(map(str, range(number))), ""
    if root is not None and paths.DATA.is_dir() and any(paths.DATA.iterdir()):
        return classes_in(paths.DATA, data), ""
    why = "There is no project" if root is None else f"There is no {paths.DATA}/"
    return ("first", "second"), f"\n{why}: 2 classes are assumed (--classes N)"


def _classify(chosen: argparse.Namespace) -> None:
    weights = chosen.weights or ""
    own = weights if Path(weights).suffix else ""  # a file; torchvision's names have no suffix
    root, (file, own, *files) = enter_any(chosen.params or "", own, *chosen.paths)
    chosen.weights = own or chosen.weights or (PRETRAINED if root is None and not file else None)
    from headstart.cli.prediction_output import print_top
    from headstart.pipeline.data.limits import Limits
    from headstart.sources.finding import find_images
    from headstart.versions.serving.classifier import Classifier
    from headstart.versions.serving.scoring import score

    changes = _pretrained(chosen.weights, chosen.arch, chosen.sha256)
    with naming_options(_options(chosen, "backbone.arch", "backbone.weights", "backbone.sha256")):
        params = params_of(root, file, changes)
        images = find_images(files)
        source = params.backbone
        network = Classifier.load(source, params.preprocess.weights, Limits.of(params.validate_))
    if source.weights == "random":
        print(
            "backbone.weights is random: the network never learned these categories; add "
            f"--weights {PRETRAINED}, or set backbone.weights: {PRETRAINED} in params.yaml",
            file=sys.stderr,
        )
    scored = score(images, network)
    print_top(scored, network.categories, images, chosen.top, chosen.json)


def _pretrained(
    weights: str | None, arch: str | None, sha256: str | None
) -> dict[str, dict[str, str | None]]:
    """Changes of parameters for other weights, by section: a digest belongs to the weights it came with."""
    changes: dict[str, dict[str, str | None]] = {"backbone": dict(_given(arch=arch, sha256=sha256))}
    if weights is not None:
        changes["backbone"] |= {"weights": weights, "sha256": sha256}
        if weights.startswith("IMAGENET"):
            changes["preprocess"] = {"weights": weights}
    return changes


def _given(**options: object) -> dict[str, Any]:
    """The options that were typed."""
    return {name: value for name, value in options.items() if value is not None}


def _options(chosen: argparse.Namespace, *keys: str) -> dict[str, str]:
    """Options by the keys of params.yaml that they set, if typed; --sha256 also where --weights was."""
    names = {key: key.partition(".")[2] for key in keys}
    typed = {name for name in names.values() if getattr(chosen, name) is not None}
    typed |= {"sha256"} if "weights" in typed else set()
    return {key: f"--{name}" for key, name in names.items() if name in typed}


def _predict(chosen: argparse.Namespace) -> None:
    root, (model, page, *files) = enter_any(
        chosen.model or str(paths.HEAD), chosen.explain or "", *chosen.paths
    )
    if chosen.model is None:
        if root is None:
            raise HeadstartError(NO_MODEL)
        model = str(paths.HEAD)
    explain = Path(page) if chosen.explain else None
    if explain is not None:
        _check_page(explain)
    from headstart.cli.prediction_output import print_predictions
    from headstart.sources.finding import find_images
    from headstart.versions.registry import tracking
    from headstart.versions.serving.opening import open_model
    from headstart.versions.serving.scoring import score

    with tracking.in_project(root):  # a folder may refer to layers that are in its database
        name, _, predictor = open_model(model, root)
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
