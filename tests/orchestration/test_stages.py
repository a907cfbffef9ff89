"""Stages in a flow whose params.yaml lacks keys."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from headstart.errors import ParamsError
from headstart.orchestration import stage_output, stages


def test_a_section_that_dvc_needs_is_missed_before_any_stage(tree: Path) -> None:
    (tree / "data").mkdir()
    text = (tree / "params.yaml").read_text()
    (tree / "params.yaml").write_text(text[: text.index("\ntrain:")])
    with pytest.raises(ParamsError, match="lacks train, evaluate, listed in dvc.yaml; `headstart upgrade`"):
        stages.run_stages(cast(Any, SimpleNamespace()))


def test_a_stage_does_not_repeat_what_the_flow_has_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[str] = []
    logger = SimpleNamespace(info=lambda form, text: logged.append(text))
    monkeypatch.setattr(stage_output, "get_run_logger", lambda: logger)
    output = stage_output.StageOutput("train")
    for line in ("params.yaml lacks train.seed (0): these defaults are used", "something else"):
        output.on_line(line)
    assert logged == ["something else"]
    assert len(output.lines) == 2
