"""Registered versions, looked up by the results they hold. No torch, so that an unchanged run is quick."""

from dataclasses import dataclass

from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient

from headstart import repository
from headstart.errors import TrackingError
from headstart.versions.registry import tracking
from headstart.versions.registry.uri import ModelUri

LOCK_TAG, STATE_TAG = "headstart.lock", "headstart.state"
HEAD_TAG = "head"  # digest of the head's tensors; a run has it under `headstart.head`
FILE_TAG = "head_file"  # digest of the head's whole file; a run has it under `headstart.head_file`
COMPLETE = "complete"
GATE_TAG, VERDICTS = "gate", ("passed", "inconclusive", "failed")
CHALLENGER, CHAMPION, CHAMPION_TAG = "challenger", "champion", "was_champion"


@dataclass(frozen=True)
class Registered:
    """A version in the registry.

    Attributes:
        is_settled: the gate has judged it and its aliases are set.
    """

    name: str
    version: str
    aliases: tuple[str, ...]
    run_id: str
    is_new: bool
    is_settled: bool

    def sentence(self) -> str:
        """One line for a person."""
        aliases = ", ".join(self.aliases) or "none"
        how = "registered" if self.is_new else "was registered before"
        return f"{self.name} version {self.version} {how} (alias: {aliases})"


def registered(name: str) -> Registered | None:
    """The complete version that holds the results in this tree, or None.

    Raises:
        TrackingError: MLflow is unreachable.
    """
    client = tracking.connect()
    with tracking.translated("look up the version"):
        found = find(client, name, repository.lock_digest())
        if found is None or found.tags.get(STATE_TAG) != COMPLETE:
            return None
        aliases = aliases_of(client, name, found)
    return Registered(name, str(found.version), aliases, str(found.run_id), False, True)


def verdict_of(registered: Registered) -> str:
    """The gate's verdict on a version whose aliases are settled: `passed`, `inconclusive` or `failed`.

    Raises:
        TrackingError: MLflow is unreachable, or the version's tag `gate` was changed or removed.
    """
    name, number = registered.name, registered.version
    client = tracking.connect()
    with tracking.translated("look up the gate's verdict"):
        found = str(client.get_model_version(name, number).tags.get(GATE_TAG))
    if found not in VERDICTS:
        raise TrackingError(
            f"{name} version {number} was judged, but its tag `{GATE_TAG}` is {found!r} (expected "
            f"{', '.join(VERDICTS)}); `headstart gate models:/{name}/{number}` judges it again"
        )
    return found


def find(client: MlflowClient, name: str, digest: str) -> ModelVersion | None:
    """The version made from the dvc.lock with this digest, complete or not."""
    versions = client.search_model_versions(f"name = '{name}' and tags.`{LOCK_TAG}` = '{digest}'")
    return max(versions, key=lambda found: int(found.version), default=None)


def aliases_of(client: MlflowClient, name: str, found: ModelVersion) -> tuple[str, ...]:
    """The aliases of a version, sorted."""
    aliases = client.get_registered_model(name).aliases
    return tuple(sorted(a for a, number in aliases.items() if str(number) == str(found.version)))


def champion(client: MlflowClient, name: str) -> str | None:
    """Number of the current `champion`."""
    number = client.get_registered_model(name).aliases.get(CHAMPION)
    return None if number is None else str(number)


def any_champion(client: MlflowClient, name: str) -> bool:
    """Whether a model of this name has a `champion`; the model may not exist yet."""
    found = client.search_registered_models(f"name = '{name}'")
    return any(CHAMPION in model.aliases for model in found)


def mark_champion(client: MlflowClient, name: str) -> None:
    """Tag the current `champion` and its run, so that `headstart gc` keeps it for good."""
    number = champion(client, name)
    if number is None:
        return
    version = client.get_model_version(name, number)
    if CHAMPION_TAG not in version.tags:
        client.set_model_version_tag(name, number, CHAMPION_TAG, "yes")
        client.set_tag(str(version.run_id), f"headstart.{CHAMPION_TAG}", "yes")


def named(source: str | None, model: str) -> tuple[str, str]:
    """Name and number of a version: of `source`, or the one that holds the tree's results.

    Args:
        source: `models:/NAME/VERSION` or `models:/NAME@ALIAS`.

    Raises:
        TrackingError: `source` is in another notation, or there is no such version.
    """
    client = tracking.connect()
    with tracking.translated(f"look up {source or 'the version'}"):
        if source is None:
            found = find(client, model, repository.lock_digest())
            if found is None:
                raise TrackingError(
                    f"no version of {model} holds the results of this tree; run `headstart register`, or "
                    "name a version"
                )
            return model, str(found.version)
        version = ModelUri.parse(source).version(client)
        return str(version.name), str(version.version)


def resolve(source: str) -> str:
    """The full notation of a model, with its alias resolved.

    Raises:
        TrackingError: there is no such model, or MLflow is unreachable.
    """
    client = tracking.connect()
    with tracking.translated(f"look up {source}"):
        return str(ModelUri.parse(source).resolved(client))


def description(source: str) -> str:
    """The description of `models:/NAME/VERSION`, Markdown; empty if it has none.

    Raises:
        TrackingError: there is no such version, or MLflow is unreachable.
    """
    client = tracking.connect()
    with tracking.translated(f"look up {source}"):
        return str(ModelUri.parse(source).version(client).description or "")


def of_run(run_id: str) -> list[tuple[str, str]]:
    """Name and number of each version that a run made."""
    client = tracking.connect()
    with tracking.translated(f"look up versions of run {run_id}"):
        found = client.search_model_versions(f"run_id = '{run_id}'")
    return [(version.name, str(version.version)) for version in found]


def tag(uri: str, key: str, value: str) -> None:
    """Set a tag of `models:/NAME/VERSION`, or of the run that `runs:/ID` names."""
    client = tracking.connect()
    found = ModelUri.parse(uri)
    with tracking.translated(f"tag {uri}"):
        if found.run_id is not None:
            client.set_tag(found.run_id, f"headstart.{key}", value)
        else:
            client.set_model_version_tag(str(found.name), str(found.number), key, value)


def tag_of(uri: str, key: str) -> str | None:
    """The tag that `tag` set; None if there is none."""
    client = tracking.connect()
    found = ModelUri.parse(uri)
    with tracking.translated(f"look up the tags of {uri}"):
        if found.run_id is not None:
            tags = client.get_run(found.run_id).data.tags
            return tags.get(f"headstart.{key}")
        return found.version(client).tags.get(key)
