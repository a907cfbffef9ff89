"""Versions in the registry by the results they hold. Needs no torch, so that an unchanged run is quick."""

from dataclasses import dataclass

from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient

from headstart import lineage
from headstart.registry import tracking

LOCK_TAG, STATE_TAG = "headstart.lock", "headstart.state"
COMPLETE = "complete"


@dataclass(frozen=True)
class Registered:
    """A version that stands in the registry."""

    name: str
    version: str
    aliases: tuple[str, ...]
    run_id: str
    is_new: bool

    def sentence(self) -> str:
        """One line for a person."""
        aliases = ", ".join(self.aliases) or "none: it does not meet register.thresholds"
        how = "registered" if self.is_new else "was registered before"
        return f"{self.name} version {self.version} {how} (alias: {aliases})"


def registered(name: str) -> Registered | None:
    """The version that holds the results in the tree, aliases set; None where there is none.

    Raises:
        TrackingError: MLflow is out of reach.
    """
    client = tracking.connect()
    with tracking.translated("look up the version"):
        found = find(client, name, lineage.lock_digest())
        if found is None or found.tags.get(STATE_TAG) != COMPLETE:
            return None
        aliases = aliases_of(client, name, found)
    return Registered(name, str(found.version), aliases, str(found.run_id), False)


def find(client: MlflowClient, name: str, digest: str) -> ModelVersion | None:
    """The version made from a state of dvc.lock, complete or not."""
    versions = client.search_model_versions(f"name = '{name}' and tags.`{LOCK_TAG}` = '{digest}'")
    return max(versions, key=lambda found: int(found.version), default=None)


def aliases_of(client: MlflowClient, name: str, found: ModelVersion) -> tuple[str, ...]:
    """The aliases of a version, sorted."""
    aliases = client.get_registered_model(name).aliases
    return tuple(sorted(a for a, number in aliases.items() if str(number) == str(found.version)))
