"""Deployments under names that this project gave up: removed, so that no schedule starts the old ones."""

import urllib.error
from collections.abc import Mapping
from pathlib import Path

from ruamel.yaml import YAML

from headstart.ground.reading import reading
from headstart.orchestration.prefect_api import ask

DEPLOYMENTS = Path("prefect.yaml")
CHECK = "promotion/reconcile"  # replaced by the guard's own check
RETIRED = (CHECK, "training/on-demand", "scoring/on-demand")
TAG = "headstart"


def find_retired(prefect: str) -> dict[str, str]:
    """The ids of those that a Prefect server still has, by name.

    Only exact names count, only if they have the tag of this project's deployments, and not if prefect.yaml
    has them (again).

    Args:
        prefect: the server's address, such as `http://127.0.0.1:4200`.

    Raises:
        OSError: the server does not answer or refuses.
    """
    kept = _names()
    there = {}
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
            there[name] = str(found["id"])
    return there


def remove(prefect: str, found: Mapping[str, str]) -> None:
    """Remove deployments, with their triggers and planned runs; past runs stay.

    Triggers come first: once the deployment is gone, nothing leads to them.

    Raises:
        OSError: the server does not answer or refuses.
    """
    for own in found.values():
        ask(f"{prefect}/api/automations/owned-by/prefect.deployment.{own}", "DELETE")
        ask(f"{prefect}/api/deployments/{own}", "DELETE")


def _names() -> set[str]:
    with reading(DEPLOYMENTS, "correct it, or restore it with `git checkout`"):
        document = YAML(typ="safe", pure=True).load(DEPLOYMENTS)
        return {deployment["name"] for deployment in document["deployments"]}
