"""`headstart export`: a version for machines without its tracking server, or for other runtimes."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from headstart.cli.commands import MODEL, VERSIONS, Commands, add_json
from headstart.cli.entering import enter_any
from headstart.errors import HeadstartError

if TYPE_CHECKING:
    from headstart.versions.export.report import Exported
    from headstart.versions.release.settings import Gate

FORMATS = ("onnx", "torch", "folder")
PRECISIONS = ("fp32", "int8")
INT8_ONLY = {"margin": "--margin", "calibration_images": "--calibration-images"}


def add_to(commands: Commands) -> None:
    """Add export."""
    export = commands.add(
        VERSIONS,
        "export",
        "write a version as ONNX, a torch program or a folder",
        _export,
        about="A file counts only if it answers for every test image as evaluate did. It is stored with the "
        "version's run too.",
        example="headstart export headstart@champion champion.onnx --format onnx",
    )
    export.add_argument("model", metavar="MODEL", help=f"{MODEL}, or runs:/RUN/model")
    export.add_argument("out", metavar="OUT", help="the file or folder, which must not exist")
    export.add_argument(
        "--format",
        choices=FORMATS,
        required=True,
        help="onnx: for ONNX Runtime and browsers; torch: .pt2, for torch alone; folder: all that headstart "
        "and mlflow need to answer without the server",
    )
    export.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="fp32",
        help="int8: of ONNX alone, a quarter of the size; refused if it is worse by more than gate.margin",
    )
    export.add_argument(
        "--images",
        metavar="DIR",
        help="its images, laid out as data/ was; default: those of the project",
    )
    export.add_argument(
        "--calibration-images",
        type=int,
        metavar="N",
        help="training images that int8 is calibrated on; default: 64",
    )
    export.add_argument(
        "--margin", type=float, metavar="SHARE", help="for int8, in place of gate.margin, such as 0.02"
    )
    export.add_argument("--no-log", dest="log", action="store_false", help="write OUT alone")
    export.add_argument(
        "--replace", action="store_true", help="let the version's tag name this file, if it names another one"
    )
    add_json(export)


def _export(chosen: argparse.Namespace) -> None:
    _check(chosen)
    root, [out, images] = enter_any(chosen.out, chosen.images or "")
    if images and not Path(images).is_dir():
        raise HeadstartError(f"--images: there is no folder {images}; correct the path")
    from headstart.cli.json_output import print_result
    from headstart.versions.registry import tracking

    with tracking.in_project(root):
        made = _made(chosen, root, Path(out), Path(images) if images else None)
    print_result(chosen.json, made.as_dict, made.sentence)


def _check(chosen: argparse.Namespace) -> None:
    """Check options that belong together, before any work."""
    if chosen.precision == "int8" and chosen.format != "onnx":
        raise HeadstartError(
            f"--precision int8 is for --format onnx, not {chosen.format}; name one of the two"
        )
    if chosen.format == "folder" and (chosen.images or chosen.replace or not chosen.log):
        raise HeadstartError(
            "--images, --replace and --no-log are for files: a folder holds the version as it is, so it is "
            "neither compared nor stored; leave them out"
        )
    if chosen.replace and not chosen.log:
        raise HeadstartError(
            "--replace is about the stored file, and --no-log stores none; name one of the two"
        )
    given = [option for key, option in INT8_ONLY.items() if getattr(chosen, key) is not None]
    if given and chosen.precision != "int8":
        raise HeadstartError(f"{given[0]} is for --precision int8; leave it out, or name that too")
    if chosen.calibration_images is not None and chosen.calibration_images < 1:
        raise HeadstartError(f"--calibration-images: expected at least 1, found {chosen.calibration_images}")


def _made(chosen: argparse.Namespace, root: Path | None, out: Path, images: Path | None) -> "Exported":
    from headstart.versions.export import calibration
    from headstart.versions.export.export import Options, export_file, export_folder, export_int8

    if chosen.format == "folder":
        return export_folder(chosen.model, out)
    options = Options(images, chosen.log, chosen.replace)
    if chosen.precision == "int8":
        count = chosen.calibration_images or calibration.IMAGES
        return export_int8(chosen.model, out, _gate(root, chosen.margin), options, count)
    return export_file(chosen.model, out, chosen.format, options)


def _gate(root: Path | None, margin: float | None) -> "Gate":
    """The project's gate, or the default one, with another margin if one was given."""
    from headstart.cli.entering import naming_options, params_of

    changes = {} if margin is None else {"gate": {"margin": margin}}
    with naming_options({"gate.margin": "--margin"}):
        return params_of(root, "", changes).gate
