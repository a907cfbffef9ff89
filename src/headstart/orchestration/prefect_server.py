"""The Prefect server that a command would use, found and asked before Prefect is imported."""

import os
import tomllib
from pathlib import Path

from headstart.errors import HeadstartError
from headstart.host.ports import reach


def check_server() -> None:
    """Refuse to start what Prefect would end with a traceback. Without an address it starts a server itself.

    Raises:
        HeadstartError: the file of profiles is damaged, or no server answers at the address that is set.
    """
    address, source = server_address()
    if not address:
        return
    try:
        reach(address)
    except OSError as error:
        raise HeadstartError(
            f"Prefect does not answer at {address} ({error}), which {source} names; start it "
            "(`make services`), correct PREFECT_API_URL, or unset it: then a temporary server is started"
        ) from error


def server_address() -> tuple[str, str]:
    """The address of the server, and what sets it; "" if nothing does.

    Raises:
        HeadstartError: the file of profiles is damaged.
    """
    if given := os.environ.get("PREFECT_API_URL"):
        return given, "PREFECT_API_URL"
    home = Path(os.environ.get("PREFECT_HOME") or "~/.prefect").expanduser()
    path = Path(os.environ.get("PREFECT_PROFILES_PATH") or home / "profiles.toml").expanduser()
    if not path.is_file():
        return "", ""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        name = os.environ.get("PREFECT_PROFILE") or document.get("active")
        profile = document.get("profiles", {}).get(name, {})
        return str(profile.get("PREFECT_API_URL", "")), f"profile {name} in {path}"
    except (OSError, ValueError, AttributeError) as error:
        raise HeadstartError(
            f"{path}, Prefect's file of profiles, cannot be read ({error}); correct or remove it, or set "
            "PREFECT_PROFILES_PATH to another file"
        ) from error
