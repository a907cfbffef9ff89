"""`headstart serve`: a model over HTTP."""

import argparse
import sys

from headstart.cli.commands import IMAGES, MODEL, Commands, add_json
from headstart.cli.entering import enter_any
from headstart.cli.kept import serve_settings
from headstart.errors import ArgumentError


def add_to(commands: Commands) -> None:
    """Add serve."""
    serve = commands.add(
        IMAGES,
        "serve",
        "answer images over HTTP, with the version that an alias names",
        _serve,
        about="A promotion or rollback is followed without a restart. Other machines are answered only with "
        "tokens in HEADSTART_SERVE_TOKENS, or with --open.",
        example="headstart serve models:/headstart@champion",
    )
    champion = "models:/headstart@champion"
    serve.add_argument(
        "model",
        metavar="MODEL",
        nargs="?",
        default=champion,
        help=f"{MODEL}, the folder of a downloaded version, or a head file; default: {champion}",
    )
    serve.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1, which is this machine alone")
    serve.add_argument(
        "--open", action="store_true", help="answer anyone who reaches the port, without token"
    )
    for option, kind, default, about in OPTIONS:
        serve.add_argument(
            option, type=kind, default=default, metavar="N", help=f"{about}; default: {default}"
        )
    serve.add_argument(
        "--keep",
        type=float,
        metavar="SHARE",
        help="share of requests that are kept; default: serve.keep, and none outside of a project",
    )
    serve.add_argument(
        "--keep-dir", metavar="PATH", default="", help="keep them there; default: serve.folder"
    )
    add_json(serve, "print the address as JSON, once clients can connect")


OPTIONS = (  # the defaults are those of `Settings`, which would import numpy here
    ("--port", int, 5001, "port; 0 for any that is free"),
    ("--max-batch", int, 16, "images per forward pass"),
    ("--max-delay-ms", float, 25.0, "for which a pass waits for images of requests that are being read"),
    ("--passes", int, 0, "forward passes at once; 0: two on a CPU, one on an accelerator"),
    ("--max-queue", int, 128, "requests without an answer; more get status 503"),
    ("--max-images", int, 1000, "images per request"),
    ("--max-body", int, 64, "MiB per request"),
    ("--seconds", float, 60.0, "for an answer; later it is status 504"),
    ("--follow-seconds", float, 10.0, "between two looks at the alias"),
)


def _serve(chosen: argparse.Namespace) -> None:
    root, [model, folder] = enter_any(chosen.model, chosen.keep_dir)
    kept = serve_settings(root, keep=chosen.keep, folder=folder or None)
    if folder and not kept.keep:
        raise ArgumentError("--keep-dir names a folder, but nothing is kept: add --keep, such as --keep 0.05")
    if root is None and kept.keep and not folder:
        raise ArgumentError(
            "--keep: this folder is in no project; name a folder for what is kept: --keep-dir"
        )
    from headstart.cli.json_output import print_result
    from headstart.versions.registry import tracking
    from headstart.versions.serving.http.run import serve
    from headstart.versions.serving.http.settings import Settings

    given = {option[2:].replace("-", "_") for option, *_ in OPTIONS} | {"host"}
    settings = Settings(is_open=chosen.open, **{name: getattr(chosen, name) for name in given})

    def announce(address: str, version: str) -> None:
        print_result(
            chosen.json,
            lambda: {
                "address": address,
                "page": f"{address}/",
                "model": model,
                "model_version": version,
            },
            lambda: f"{version} answers at {address}/predict, and on a page at {address}/; Ctrl+C ends it",
        )
        sys.stdout.flush()  # whatever started the server may wait for the line

    with tracking.in_project(root):
        serve(model, root, settings, announce, kept)
