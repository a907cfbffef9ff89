"""The page of a flow run that failed."""

from typing import Any

import pytest

from headstart.errors import DataError
from headstart.orchestration import reports


def test_advice_stands_before_an_error_of_many_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: dict[str, Any] = {}
    monkeypatch.setattr(reports, "create_markdown_artifact", shown.update)  # Prefect's, which needs a server
    with pytest.raises(DataError), reports.failure_shown():
        raise DataError("2 files are left out:\n\n  `a.png`: too small\n  b.png: too small")
    assert shown["description"] == "Why this run failed: DataError"
    title, advice, said = shown["markdown"].strip().split("\n\n")
    assert title == "## Failed: DataError"
    assert advice.startswith("Correct what the message names")
    assert said.split("  \n") == [
        "`2 files are left out:`",
        "`  'a.png': too small`",
        "`  b.png: too small`",
    ]
