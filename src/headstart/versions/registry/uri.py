"""The one notation for a model: `models:/NAME/VERSION`, `models:/NAME@ALIAS`, `runs:/RUN[/PATH]`."""

import re
from dataclasses import dataclass

from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from headstart.errors import TrackingError

NAME = r"(?P<name>[^/:]+)"
VERSION = re.compile(rf"(?:models:/)?{NAME}/(?P<number>\d+)")
ALIAS = re.compile(rf"(?:models:/)?{NAME}@(?P<alias>[^/:@]+)")
RUN = re.compile(r"(?:runs:/)?(?P<run_id>[0-9a-f]{32})(?:/(?P<path>.+))?")
LOGGED = re.compile(r"models:/(?P<logged>m-[0-9a-f]+)")  # a stored model that is not a version yet
SHOWN = 5


@dataclass(frozen=True)
class ModelUri:
    """A version, by number or alias, or a run; `str` gives the full notation."""

    name: str | None = None
    number: str | None = None
    alias: str | None = None
    run_id: str | None = None
    path: str | None = None
    logged: str | None = None

    @classmethod
    def parse(cls, text: str) -> "ModelUri":
        """Parse the notation; `models:/` and `runs:/` may be left out.

        Raises:
            TrackingError: the text is not in this notation; the message says what to type.
        """
        for pattern in (VERSION, ALIAS, RUN, LOGGED):
            if found := pattern.fullmatch(text):
                return cls(**found.groupdict())
        raise TrackingError(
            f"{text} names no model; expected models:/NAME/VERSION, models:/NAME@ALIAS or runs:/RUN, such as "
            "models:/headstart@champion"
        )

    @classmethod
    def is_meant(cls, text: str) -> bool:
        """Whether a text that may also be a path is in this notation."""
        return text.startswith(("models:/", "runs:/")) or any(
            pattern.fullmatch(text) for pattern in (VERSION, ALIAS)
        )

    @classmethod
    def of(cls, version: ModelVersion) -> "ModelUri":
        """The URI of a registered version."""
        return cls(name=str(version.name), number=str(version.version))

    def __str__(self) -> str:
        if self.run_id is not None:
            return f"runs:/{self.run_id}{f'/{self.path}' if self.path else ''}"
        if self.logged is not None:
            return f"models:/{self.logged}"
        return f"models:/{self.name}@{self.alias}" if self.alias else f"models:/{self.name}/{self.number}"

    def version(self, client: MlflowClient) -> ModelVersion:
        """Look up the version in the registry, resolving an alias.

        Raises:
            TrackingError: there is no such version; the message lists those that exist.
        """
        if self.name is None:
            raise TrackingError(
                f"{self} names no version; expected models:/NAME/VERSION or models:/NAME@ALIAS"
            )
        try:
            if self.alias is not None:
                return client.get_model_version_by_alias(self.name, self.alias)
            return client.get_model_version(self.name, str(self.number))
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
            raise TrackingError(f"there is no {self}; {_what_there_is(client, self.name)}") from error

    def resolved(self, client: MlflowClient) -> "ModelUri":
        """The same with the alias replaced by a number; anything but a version stays as it is."""
        return self if self.name is None else ModelUri.of(self.version(client))


def _what_there_is(client: MlflowClient, name: str) -> str:
    models = client.search_registered_models()
    found = next((model for model in models if model.name == name), None)
    if found is None:
        names = ", ".join(str(model.name) for model in models[:SHOWN])
        return (
            f"registered models: {names}" if names else "nothing is registered yet: run `headstart register`"
        )
    versions = client.search_model_versions(f"name = '{name}'")
    numbers = sorted((int(version.version) for version in versions), reverse=True)[:SHOWN]
    known = [f"models:/{name}@{alias}" for alias in sorted(found.aliases)]
    known += [f"models:/{name}/{number}" for number in numbers]
    return f"there are {', '.join(known)}" if known else f"{name} has no versions"
