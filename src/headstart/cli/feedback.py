"""`headstart feedback`: true labels of answered images, accuracy in production, images to label."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from headstart.cli.commands import IMAGES, MODEL, Commands, add_json
from headstart.cli.entering import checked_params, enter_any, report
from headstart.errors import ParamsError
from headstart.ground import paths

if TYPE_CHECKING:
    from headstart.params import Params

SOURCE = "data.source"


def add_to(commands: Commands) -> None:
    """Add feedback."""
    feedback = commands.add(
        IMAGES,
        "feedback",
        "store true labels of answers, and report the accuracy in production",
        _feedback,
        about="Without labels it reports what is known, with an estimate from the confidences. Exit "
        "status 0: no alarm, 3: accuracy is too low, 1: it could not be done.",
        example="headstart feedback --pick to-label && headstart feedback to-label/labels.csv --into",
    )
    feedback.add_argument(
        "labels", nargs="?", metavar="LABELS", help="a .csv with id or path, label and, if wanted, when"
    )
    feedback.add_argument("--scores", metavar="FILE", help="of `headstart score`, in place of kept answers")
    feedback.add_argument("--keep-dir", metavar="DIR", help="of kept answers; default: serve.folder")
    feedback.add_argument(
        "--new-class", action="store_true", help="take labels that are not among the classes"
    )
    feedback.add_argument(
        "--into", nargs="?", const=SOURCE, metavar="SOURCE",
        help=f"add the labelled images to this folder or URL; default: {SOURCE}",
    )  # fmt: skip
    feedback.add_argument("--pick", metavar="DIR", help="copy images to label into a new folder")
    feedback.add_argument(
        "--count", type=int, default=50, metavar="N",
        help="the least certain and the most unlike training; default: 50",
    )  # fmt: skip
    feedback.add_argument(
        "--random", type=int, default=0, metavar="N", help="and others at random; default: 0"
    )
    feedback.add_argument("--model", help=f"that is to learn from them: {MODEL}; default: the champion")
    feedback.add_argument("--html", metavar="FILE", help=f"default: {paths.FEEDBACK}")
    add_json(feedback)


def _feedback(chosen: argparse.Namespace) -> None:
    given = (chosen.labels, chosen.scores, chosen.keep_dir, chosen.pick, chosen.html)
    into = "" if chosen.into == SOURCE else chosen.into
    root, [*seen, into] = enter_any(*(path or "" for path in (*given, into)))
    chosen.into = into or chosen.into
    labels, scores, keep_dir, pick, html = (Path(path) if path else None for path in seen)
    from headstart.params import Params
    from headstart.versions.registry import tracking

    params = Params() if root is None else checked_params()
    kept = keep_dir or Path(params.serve.folder)
    _check(chosen)
    with tracking.in_project(root):
        if pick is not None:
            _pick(chosen, pick, kept, params)
        else:
            _report(chosen, labels, scores, kept, html or (paths.FEEDBACK if root else None), params)


def _check(chosen: argparse.Namespace) -> None:
    """Refuse options that do not go together."""
    if chosen.pick and (chosen.labels or chosen.scores or chosen.into):
        raise ParamsError("--pick copies images of kept answers to be labelled; give LABELS afterwards")
    if chosen.into and not chosen.labels:
        raise ParamsError("--into adds images with labels: name the table, as in `headstart feedback LABELS`")
    if chosen.count < 0 or chosen.random < 0 or chosen.count + chosen.random == 0:
        raise ParamsError(f"--count {chosen.count}, --random {chosen.random}: expected numbers of images")


def _pick(chosen: argparse.Namespace, folder: Path, kept: Path, params: "Params") -> None:
    from headstart.cli.json_output import print_result
    from headstart.versions.monitoring.feedback import run

    model = chosen.model or f"models:/{params.register_.model}@champion"
    picked = run.pick(folder, kept, model, chosen.count, chosen.random, params.monitor, report)
    print_result(
        chosen.json, lambda: {"folder": str(picked.folder), "why": dict(picked.why)}, picked.sentence
    )


def _report(
    chosen: argparse.Namespace,
    labels: Path | None,
    scores: Path | None,
    kept: Path,
    html: Path | None,
    params: "Params",
) -> None:
    from headstart.cli.json_output import print_result
    from headstart.ground.files import write_text
    from headstart.versions.monitoring.feedback import page, run

    source = _source(chosen.into, params)  # before anything is stored
    table = run.Labels(labels, chosen.new_class) if labels else None
    if scores is not None:
        answers, took, found = run.from_scores(scores, table, params.monitor, report)
    else:
        answers, took, found = run.from_store(kept, table, params.monitor, report)
    added = None
    if source is not None and labels is not None:
        added = run.into_source(answers, labels, source, params.data.layout, params.data.labels)
    if html is not None:  # without a project only what is named is written
        write_text(html, page.as_html(found))
    lines = [each.sentence() for each in (took, added) if each is not None]
    text = "\n".join([*lines, page.as_text(found), *(["", f"Page: {html}"] if html else [])])
    print_result(chosen.json, lambda: run.as_dict(took, added, found), lambda: text)
    sys.exit(3 if found.alarms else 0)


def _source(given: str | None, params: "Params") -> str | None:
    """The source that images are added to; None if none is asked for."""
    if given != SOURCE:
        return given
    if params.data.source is None:
        raise ParamsError(
            "data.source is null in params.yaml, so there is no place that images come from: set it, or name "
            "a folder or URL as in --into FOLDER; `--into data` needs `dvc add data` afterwards"
        )
    return params.data.source
