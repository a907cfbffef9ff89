"""The stages of a version made again run its recorded code, without any credential."""

from pathlib import Path
from typing import Any

import pytest

from headstart.versions.provenance import reproduction


def test_stages_made_again_have_no_credential(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr(reproduction.repository, "run_stage", lambda *_, **settings: given.update(settings))
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hunter2")
    reproduction._run(tmp_path, "train", {"HEADSTART_CACHE": "store"}, "python")
    assert "PATH" in given["inherited"]
    assert "hunter2" not in given["inherited"].values()
