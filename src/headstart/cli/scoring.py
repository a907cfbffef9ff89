"""`headstart score`: many images, one exact version, one Parquet file."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from headstart.cli.commands import IMAGES, MODEL, Commands, add_json
from headstart.cli.entering import enter_any
from headstart.errors import HeadstartError

if TYPE_CHECKING:
    from headstart.versions.serving.batch_scoring import Scored


def add_to(commands: Commands) -> None:
    """Add score."""
    score = commands.add(
        IMAGES,
        "score",
        "score many images into a Parquet file",
        _score,
        about="Scores with one exact version, one row per image; after a kill, the same command resumes.",
        example="headstart score photos/ answers.parquet",
    )
    score.add_argument(
        "source", metavar="IN", help="a folder, a glob pattern, or a list: .txt, or .csv/.parquet with `path`"
    )
    score.add_argument("out", metavar="OUT", help="the Parquet file")
    score.add_argument(
        "--model",
        default="models:/headstart@champion",
        help=f"{MODEL}, or runs:/RUN/model; default: %(default)s",
    )
    score.add_argument("--batch", type=int, default=32, metavar="N", help="images per pass; default: 32")
    add_json(score)


def _score(chosen: argparse.Namespace) -> None:
    is_folder = Path(chosen.model).is_dir()
    root, (source, out) = enter_any(chosen.source, chosen.out)
    from headstart.cli.json_output import print_result
    from headstart.versions.registry import tracking
    from headstart.versions.registry.uri import ModelUri

    if is_folder and not ModelUri.is_meant(chosen.model):
        raise HeadstartError(
            f"--model {chosen.model} is a folder, and `headstart score` runs registered versions alone: name "
            f"one, or let `headstart predict --model {chosen.model} --json IMAGE...` answer from the folder"
        )
    with tracking.in_project(root):
        scored = _scored(source, Path(out), chosen.model, chosen.batch)
    print_result(chosen.json, scored.as_dict, scored.sentence)


def _scored(source: str, out: Path, model: str, batch: int) -> "Scored":
    """Score with a bar on standard error."""
    from headstart.progress import bar
    from headstart.versions.registry.versions import resolve
    from headstart.versions.serving.batch_scoring import score_to_file

    name = resolve(model)  # before a bar is drawn
    with bar(0, "score") as progress:

        def show(done: int, total: int) -> None:
            if progress.total != total:  # the first call reports what an earlier run has done
                progress.reset(total)
                progress.initial = progress.n = done
                if done:
                    progress.write(f"score: {done} of {total} are done already", file=sys.stderr)
            progress.update(done - progress.n)

        return score_to_file(source, out, name, batch, show)
