"""The command `headstart doctor`."""

import argparse
import os
import sys

from headstart.cli.commands import MACHINE, Commands, add_json
from headstart.errors import StageError
from headstart.host.project import enter_tree


def add_to(commands: Commands) -> None:
    """Add doctor."""
    doctor = commands.add(
        MACHINE,
        "doctor",
        "check this machine and project, and name the command that mends what is wrong",
        _doctor,
        about="One line per check, within ten seconds; nothing is changed, and only addresses that you have "
        "configured are asked. Exit status 1 if there is an error, 0 if there are only warnings.",
    )
    add_json(doctor)


def _doctor(chosen: argparse.Namespace) -> None:
    umask = os.umask(0o077)  # the only way to read it
    os.umask(umask)
    outside = None
    try:
        enter_tree()
    except StageError as elsewhere:
        outside = str(elsewhere)
    from headstart.cli.doctor import access, machine, project, servers
    from headstart.cli.doctor.examination import Check, Examination, error, examine
    from headstart.cli.json_output import print_result

    checks: dict[str, Check] = {**machine.CHECKS, "umask": lambda: access.umask(umask)}
    if outside is None:
        locks = examine({"locks": access.locks}, 1.0)  # first: DVC, which other checks run, takes one too
        checks |= {**project.CHECKS, **servers.CHECKS, **access.CHECKS}
        found = Examination({**examine(checks).findings, **locks.findings})
    else:
        said, _, advice = outside.partition("; ")
        checks["project"] = lambda: error(said, advice or "cd to a project")
        found = examine(checks)
    print_result(chosen.json, found.as_dict, found.as_text)
    sys.stdout.flush()
    sys.exit(1 if found.has_errors else 0)
