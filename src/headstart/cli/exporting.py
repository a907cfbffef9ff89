"""`headstart export`: a version for machines without its tracking server, or for other runtimes."""

import argparse
from pathlib import Path

from headstart.cli.commands import MODEL, VERSIONS, Commands, add_json
from headstart.cli.entering import enter_any
from headstart.errors import HeadstartError

FORMATS = ("onnx", "torch", "folder")


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
        "--images",
        metavar="DIR",
        help="its test images, laid out as data/ was; default: those of the project",
    )
    export.add_argument("--no-log", dest="log", action="store_false", help="write OUT alone")
    add_json(export)


def _export(chosen: argparse.Namespace) -> None:
    root, [out, images] = enter_any(chosen.out, chosen.images or "")
    if images and not Path(images).is_dir():
        raise HeadstartError(f"--images: there is no folder {images}; correct the path")
    from headstart.cli.json_output import print_result
    from headstart.versions.export.export import export_file, export_folder
    from headstart.versions.registry import tracking

    with tracking.in_project(root):
        if chosen.format == "folder":
            made = export_folder(chosen.model, Path(out))
        else:
            given = Path(images) if images else None
            made = export_file(chosen.model, Path(out), chosen.format, given, chosen.log)
    print_result(chosen.json, made.as_dict, made.sentence)
