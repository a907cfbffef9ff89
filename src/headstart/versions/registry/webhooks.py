"""The webhook through which MLflow reports alias changes."""

from typing import Any

from mlflow.entities.webhook import Webhook, WebhookEvent
from mlflow.tracking import MlflowClient

from headstart.errors import TrackingError
from headstart.versions.registry import tracking

NAME = "headstart-guard"


def subscribe(url: str, secret: str) -> None:
    """Register one signed webhook that sends alias changes to `url`, or update the existing one.

    Raises:
        TrackingError: no tracking server is set, or it refuses the address or is unreachable.
    """
    if not tracking.is_shared():
        raise TrackingError(
            "webhooks come from a tracking server: set MLFLOW_TRACKING_URI to its address; without one, "
            "`python flows/promotion.py` judges a champion that was set by hand"
        )
    client = tracking.connect()
    with tracking.translated(
        "list webhooks (500: the server was started with another MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY than "
        "the one they were written with; docs/operations.md says what to do)"
    ):
        there = [found.webhook_id for found in _all(client) if found.name == NAME]
    with tracking.translated(
        "register the webhook (a receiver on loopback needs MLFLOW_WEBHOOK_ALLOWED_SCHEMES=http,https and "
        "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS=true in the server's environment)"
    ):
        for extra in there[1:]:
            client.delete_webhook(extra)
        events: list[Any] = [WebhookEvent("model_version_alias", action) for action in ("created", "deleted")]
        if there:
            client.update_webhook(there[0], url=url, events=events, secret=secret, status="ACTIVE")
        else:
            client.create_webhook(NAME, url, events, "Promotions are judged", secret)


def _all(client: MlflowClient) -> list[Webhook]:
    found: list[Webhook] = []
    token = None
    while True:
        page = client.list_webhooks(max_results=100, page_token=token)
        found += page
        token = page.token
        if not token:
            return found
