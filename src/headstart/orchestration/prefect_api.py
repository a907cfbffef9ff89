"""Requests to Prefect's API without its client: quicker than starting its command line for each."""

import json
import os
import urllib.request
from base64 import b64encode
from typing import Any

PREFECT_PASSWORD = "PREFECT_SERVER_API_AUTH_STRING"  # user:password; clients need it as well
ANSWER_SECONDS = 10.0


def ask(address: str, method: str = "POST", seconds: float = ANSWER_SECONDS) -> Any:
    """Send a request with an empty filter, and return the answer's JSON; None if it has none.

    Args:
        address: such as `http://127.0.0.1:4200/api/deployments/filter`.
        seconds: to wait for each part of the answer.

    Raises:
        OSError: no answer, or a status of 400 or more (`urllib.error.HTTPError`).
    """
    request = urllib.request.Request(
        address,
        data=b"{}" if method == "POST" else None,
        headers={"Content-Type": "application/json"},
        method=method,
    )
    if password := os.environ.get(PREFECT_PASSWORD):
        request.add_header("Authorization", f"Basic {b64encode(password.encode()).decode()}")
    with urllib.request.urlopen(request, timeout=seconds) as answer:
        text = answer.read()
    return json.loads(text) if text else None
