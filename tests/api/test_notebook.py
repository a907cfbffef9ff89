"""The notebook of the documents runs from top to bottom, and is committed without what it printed."""

import json
import shutil
from pathlib import Path

import pytest
from projects import ROOT, edit_params, headstart, repro

NOTEBOOK = ROOT / "docs/headstart.ipynb"


def test_the_notebook_is_committed_without_outputs() -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert len(code) > 5
    assert [cell["id"] for cell in code if cell["outputs"] or cell["execution_count"] is not None] == []


@pytest.mark.slow
def test_the_notebook_runs(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nbclient
    import nbformat

    edit_params(
        repository, **{f"register.thresholds.{name}": 0.0 for name in ("accuracy", "balanced_accuracy")}
    )
    repro(repository)
    assert "champion" in headstart(repository, "register")
    (repository / "docs").mkdir()
    shutil.copy(NOTEBOOK, repository / "docs")
    for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(repository.parent / name))
    notebook = nbformat.read(repository / "docs/headstart.ipynb", as_version=4)
    nbformat.validate(notebook)
    folder = {"metadata": {"path": str(repository / "docs")}}
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources=folder).execute()
    shown = {cell["id"]: cell["outputs"] for cell in notebook["cells"] if cell["cell_type"] == "code"}
    assert shown["project"][-1]["data"]["text/plain"] == "[]"
    assert "<iframe srcdoc=" in shown["report"][-1]["data"]["text/html"]
    assert "champion" in shown["versions"][-1]["data"]["text/html"]
    assert "expected at least 32" in shown["predict"][-1]["data"]["text/html"]
    assert "image/png" in shown["embed"][-1]["data"]
