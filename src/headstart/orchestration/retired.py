"""Deployments under names that this project gave up: removed, so that no schedule starts the old ones."""

import urllib.error
from pathlib import Path

from ruamel.yaml import YAML

from headstart.ground.reading import reading
from headstart.orchestration.prefect_api import ask

DEPLOYMENTS = Path("prefect.yaml")
CHECK = "promotion/reconcile"  # replaced by the guard's own check
RETIRED = (CHECK, "training/on-demand", "scoring/on-demand")
TAG = "headstart"


def remove_retired(prefect: str) -> list[str]:
    """Remove them from a Prefect server, with their triggers and planned runs; past runs stay.

    Only exact names are removed, only if they have the tag of this project's deployments, and not if
    prefect.yaml has them (again).

    Args:
        prefect: the server's address, such as `http://127.0.0.1:4200`.

    Returns:
        The names that were removed.

    Raises:
        OSError: the server does not answer or refuses.
    """
    kept = _names()
    removed = []
    for name in RETIRED:
        if name.partition("/")[2] in kept:
            continue
        try:
            found = ask(f"{prefect}/api/deployments/name/{name}", "GET")
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            continue
        if TAG in found["tags"]:
            ask(f"{prefect}/api/automations/owned-by/prefect.deployment.{found['id']}", "DELETE")
            ask(f"{prefect}/api/deployments/{found['id']}", "DELETE")
            removed.append(name)
    return removed


def _names() -> set[str]:
    with reading(DEPLOYMENTS, "correct it, or restore it with `git checkout`"):
        document = YAML(typ="safe", pure=True).load(DEPLOYMENTS)
        return {deployment["name"] for deployment in document["deployments"]}
