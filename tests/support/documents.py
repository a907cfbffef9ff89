"""The keys of the documents that commands print with --json, as docs/json.md names them."""

import re

from projects import ROOT

TEXT = (ROOT / "docs/json.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (`.*`) \| (`.*`) \|$", TEXT, flags=re.MULTILINE)


def documented(command: str) -> set[str]:
    """Keys of a command's document."""
    [keys] = [keys for commands, keys in ROWS if f"`{command}`" in commands]
    return set(re.findall(r"`([\w ]+)`", keys.partition(";")[0]))
