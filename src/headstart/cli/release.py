"""Versions in MLflow: register, judge, promote, roll back, and the journal of it all."""

import argparse
import os
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from headstart.cli.commands import MACHINE, MODEL, VERSIONS, Commands, add_json
from headstart.cli.entering import checked_params, enter_any, import_path, report
from headstart.host.project import enter_tree

if TYPE_CHECKING:
    from headstart.versions.release.promotion import Outcome


NAME = "headstart"  # of the registered model, by default


def add_to(commands: Commands) -> None:
    """register, gate, promote, rollback, history, guard."""
    about = "What an earlier try has pushed, registered or judged is not done again."
    register = commands.add(
        VERSIONS, "register", "push, register, judge and alias what the stages made", _register, about=about
    )
    add_json(register)
    gate = commands.add(
        VERSIONS,
        "gate",
        "judge a version as the flow does",
        _gate,
        about="Thresholds, the champion on the same images, changed pictures and limits; the figures are "
        "recorded on the version, aliases stay as they are. Exit status 0: passed, 3: inconclusive, "
        "4: failed, 1: it could not be done.",
        example="headstart gate headstart/3",
    )
    gate.add_argument(
        "model", nargs="?", metavar="MODEL", help=f"{MODEL}; default: the version of this project's results"
    )
    add_json(gate)
    promote = commands.add(
        VERSIONS,
        "promote",
        "make a version champion",
        _promote,
        about="The gate, the alias, the journal; refused if the gate does not pass.",
        example='headstart promote headstart@challenger --why "new camera"',
    )
    promote.add_argument("model", metavar="MODEL", help=MODEL)
    promote.add_argument("--why", default="", metavar="TEXT", help="the reason, for the journal")
    promote.add_argument(
        "--override", metavar="TEXT", help="promote although the gate does not pass; the reason"
    )
    add_json(promote)
    rollback = commands.add(
        VERSIONS,
        "rollback",
        "take the last promotion back",
        _rollback,
        about="The champion before this one is champion again, by the journal and without the gate.",
    )
    rollback.add_argument("model", nargs="?", metavar="MODEL", help="a name; default: register.model")
    rollback.add_argument("--why", default="", metavar="TEXT", help="the reason, for the journal")
    add_json(rollback)
    history = commands.add(
        VERSIONS,
        "history",
        "list every change of champion",
        _history,
        about="What, when, who and why. Exit status 3: the journal was tampered with.",
    )
    history.add_argument(
        "model",
        nargs="?",
        metavar="MODEL",
        help=f"a name; default: register.model, and {NAME} outside of a project",
    )
    add_json(history)
    _add_guard(commands)


def _add_guard(commands: Commands) -> None:
    guard = commands.add(
        MACHINE,
        "guard",
        "receive MLflow's webhooks, and start the flow that judges promotions made by hand",
        _guard,
    )
    guard.add_argument("--host", default="127.0.0.1", help="address to listen at; default: 127.0.0.1")
    guard.add_argument("--port", type=int, default=4300, help="default: 4300")
    guard.add_argument("--url", help="at which MLflow reaches it; default: http://HOST:PORT/mlflow")
    guard.add_argument(
        "--every",
        type=float,
        default=300.0,
        metavar="SECONDS",
        help="between its own checks, in case a webhook was lost; default: 300",
    )


def _register(chosen: argparse.Namespace) -> None:
    enter_tree()
    from headstart.cli.json_output import print_result
    from headstart.versions.registry import tracking
    from headstart.versions.release.publish import publish

    params = checked_params()
    tracking.connect()  # before anything is sent
    record = params.model_dump(by_alias=True)
    published = publish(params.register_, params.gate, params.repository, record, report)
    print_result(chosen.json, published.as_dict, published.as_text)


def _gate(chosen: argparse.Namespace) -> None:
    enter_tree()
    from headstart.cli.json_output import print_result
    from headstart.versions.registry import versions
    from headstart.versions.release.gate import judge

    params = checked_params()
    name, number = versions.named(chosen.model, params.register_.model)
    decision = judge(name, number, params.requirements, report)
    print_result(chosen.json, decision.as_dict, decision.as_text)
    sys.exit({"passed": 0, "inconclusive": 3, "failed": 4}[decision.verdict])


def _promote(chosen: argparse.Namespace) -> None:
    enter_tree()
    from headstart.versions.registry import versions
    from headstart.versions.release import promotion

    params = checked_params()
    name, number = versions.named(chosen.model, params.register_.model)
    done = promotion.promote(name, number, params.requirements, _user(), chosen.why, chosen.override, report)
    _print_outcome(done, chosen.json)


def _rollback(chosen: argparse.Namespace) -> None:
    enter_tree()
    from headstart.versions.release import promotion

    name = chosen.model or checked_params().register_.model
    _print_outcome(promotion.rollback(name, _user(), chosen.why), chosen.json)


def _print_outcome(done: "Outcome", in_json: bool) -> None:
    from headstart.cli.json_output import print_result

    print_result(in_json, lambda: asdict(done), lambda: done.sentence)


def _history(chosen: argparse.Namespace) -> None:
    root, _ = enter_any()
    from headstart.cli.json_output import print_result
    from headstart.versions.registry import tracking
    from headstart.versions.release import journal

    name = chosen.model or (NAME if root is None else checked_params().register_.model)
    with tracking.in_project(root):
        client = tracking.connect()
        with tracking.translated("read the journal"):
            found = journal.read(client, name)
    print_result(chosen.json, found.as_dict, lambda: journal.as_text(name, found))
    for fault in found.faults:
        print(f"the journal was tampered with: {fault}", file=sys.stderr)
    sys.exit(3 if found.faults else 0)


def _guard(chosen: argparse.Namespace) -> None:
    root = enter_tree()
    os.environ["PYTHONPATH"] = import_path(root)
    given = ["--host", chosen.host, "--port", str(chosen.port)]
    given += ["--every", str(chosen.every)]
    given += ["--url", chosen.url] if chosen.url else []
    os.execv(sys.executable, [sys.executable, "-m", "headstart.orchestration.guard", *given])


def _user() -> str:
    """The user who runs this: the name that MLflow would record too."""
    import getpass

    try:
        return os.environ.get("MLFLOW_TRACKING_USERNAME") or getpass.getuser()
    except (KeyError, OSError):  # a user id without a name
        return f"user {os.getuid()}"
