"""The model that a Prefect event is about."""

from headstart.versions.registry.uri import ModelUri
from headstart.versions.release import overview


def resource_of(uri: str) -> dict[str, str]:
    """The resource of an event about a version: its model, by which automations match.

    Args:
        uri: `models:/NAME/VERSION`.
    """
    name = str(ModelUri.parse(uri).name)
    return {
        "prefect.resource.id": f"headstart.model.{name}",
        "prefect.resource.name": name,
        "headstart.version": uri,
    }


def page_of(uri: str) -> str:
    """The address of a version's page; see `overview.page_of`."""
    model = ModelUri.parse(uri)
    return overview.page_of(str(model.name), str(model.number))
