"""Requests to Prefect's API without its client: quicker than starting its command line for each."""

import json
import os
import urllib.request
from base64 import b64encode
from typing import Any

PREFECT_PASSWORD = "PREFECT_SERVER_API_AUTH_STRING"  # user:password; clients need it as well


def ask(address: str, method: str = "POST") -> Any:
    """Send a request with an empty filter, and return the answer's JSON; None if it has none.

    Args:
        address: such as `http://127.0.0.1:4200/api/deployments/filter`.

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
    with urllib.request.urlopen(request, timeout=10) as answer:
        text = answer.read()
    return json.loads(text) if text else None
