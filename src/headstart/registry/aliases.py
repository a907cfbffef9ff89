"""The aliases that a new version gets from the gate's decision, once; later changes are people's."""

from dataclasses import replace

from headstart.registry import journal, tracking, versions
from headstart.registry.decision import Decision
from headstart.registry.journal import Change
from headstart.registry.versions import Registered


def settle(registered: Registered, decision: Decision) -> Registered:
    """Make a version that passed the `challenger`, and the `champion` too where there is none.

    Args:
        registered: a version whose aliases were not settled before.

    Raises:
        TrackingError: MLflow is out of reach or refuses.
    """
    client = tracking.connect()
    name, number = registered.name, registered.version
    with tracking.translated("set aliases"):
        if decision.passed:
            client.set_registered_model_alias(name, versions.CHALLENGER, number)
            if versions.champion(client, name) is None:
                client.set_registered_model_alias(name, versions.CHAMPION, number)
                first = Change(
                    "promotion", None, number, "training", "no champion yet", "passed", decision.sentence()
                )
                if journal.read(client, name).champion != number:  # the guard may have been first
                    journal.append(client, name, first)
        versions.mark_champion(client, name)
        client.set_model_version_tag(name, number, versions.STATE_TAG, versions.COMPLETE)
        aliases = versions.aliases_of(client, name, client.get_model_version(name, number))
    return replace(registered, aliases=aliases, is_settled=True)
