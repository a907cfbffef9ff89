"""The webhook by which MLflow tells of aliases that change."""

from mlflow.entities.webhook import Webhook
from mlflow.tracking import MlflowClient

from headstart.errors import TrackingError
from headstart.registry import tracking

NAME = "headstart-guard"
EVENTS = ["model_version_alias.created", "model_version_alias.deleted"]


def subscribe(url: str, secret: str) -> None:
    """Have MLflow send changes of aliases to `url`, signed; once, however often it is asked.

    Raises:
        TrackingError: MLflow is no server, refuses the address or is out of reach.
    """
    if not tracking.is_shared():
        raise TrackingError(
            "webhooks come from a tracking server: set MLFLOW_TRACKING_URI to its address; without one the "
            "deployment promotion/reconcile does the same"
        )
    client = tracking.connect()
    with tracking.translated(
        "register the webhook (a receiver on loopback needs MLFLOW_WEBHOOK_ALLOWED_SCHEMES=http,https and "
        "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS=true in the server's environment)"
    ):
        first, *more = [found for found in _all(client) if found.name == NAME] or [None]
        for extra in more:
            if extra is not None:
                client.delete_webhook(extra.webhook_id)
        if first is None:
            client.create_webhook(NAME, url, EVENTS, "Promotions are judged", secret)
        else:
            client.update_webhook(first.webhook_id, url=url, events=EVENTS, secret=secret, status="ACTIVE")


def _all(client: MlflowClient) -> list[Webhook]:
    found: list[Webhook] = []
    token = None
    while True:
        page = client.list_webhooks(max_results=100, page_token=token)
        found += page
        token = page.token
        if not token:
            return found
