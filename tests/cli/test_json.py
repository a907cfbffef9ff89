"""`--json`: one document, all digits, null instead of NaN, and the keys that the documents name."""

import json
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from documents import ROWS, documented
from projects import dvc

from headstart.cli import stages
from headstart.cli.doctor.examination import examine
from headstart.cli.json_output import as_json, print_result, results_alone
from headstart.cli.main import main, make_parser
from headstart.cli.prediction_output import print_predictions, print_top
from headstart.cli.summary import Results, Standing
from headstart.errors import DataError
from headstart.orchestration.service_status import Overview
from headstart.review.fixing import Fixed
from headstart.versions.export.report import Exported
from headstart.versions.monitoring import page
from headstart.versions.monitoring.drift import Drift
from headstart.versions.monitoring.trend import Trend
from headstart.versions.provenance.agreement import Agreement, Predictions
from headstart.versions.provenance.collection import Collected, _Found
from headstart.versions.provenance.comparison import Comparison
from headstart.versions.provenance.initial_head import InitialHead
from headstart.versions.provenance.paired_images import Paired
from headstart.versions.provenance.reproduction import Reproduction
from headstart.versions.registry.versions import Registered
from headstart.versions.release.decision import Decision
from headstart.versions.release.journal import Journal
from headstart.versions.release.publish import Published

LINES = {"predict", "classify"}  # one document per image
STAGES = [stage.name for stage in stages.STAGES]
WITHOUT = {
    **dict.fromkeys(STAGES, "DVC runs it; its results are the files that dvc.yaml names"),
    "guard": "a server for MLflow's webhooks: what it finds is a flow run in Prefect",
    "completion": "prints a script for a shell",
}


PREDICTIONS = Predictions(1, 1, (), 0, 0.0, "")
AGREEMENT = Agreement((), "a", "a", (), PREDICTIONS, (), 0.02)
DOCUMENTS: dict[str, Callable[[], dict[str, Any]]] = {
    "show": lambda: Results({}, 0.9, "random", Standing()).as_dict(),
    "register": lambda: Published(Registered("m", "1", (), "r", True, True), None).as_dict(),
    "gate": lambda: Decision.of((), None, "").as_dict(),
    "export": lambda: Exported("models:/m/1", "onnx", "fp32", "out", "d", 1).as_dict(),
    "history": lambda: Journal((), ()).as_dict(),
    "trend": lambda: Trend("m", "models:/m/1", 1, 0, 0, 1, ()).to_dict(),
    "reproduce": lambda: Reproduction(
        "m", "r", "c", False, ("train",), True, "here", "current", 1 / 3, AGREEMENT, None
    ).to_dict(),
    "compare": lambda: Comparison(
        *("a", "b", (), (), (), {}, {}, {}, {}, (), {}, (), 0, ()), Paired(0, 0, (), 0.9, 5, None, {}, (), ())
    ).to_dict(),
    "gc": lambda: Collected(
        (), _Found(0, 0), None, None, True, "", (), (), 0, 0, False
    ).as_dict(),
    "monitor": lambda: page.as_dict(
        "models:/m/1", "new", Drift("no drift", 0.01, 1, 1, 1, 1, 1, 0, (), (), ()), None
    ),
    "init-from": lambda: InitialHead("models:/m/1", ("ok",), "0" * 64).as_dict(),
    "fix": lambda: Fixed((), (), (), Path("quarantine"), None, None).as_dict(),
    "doctor": lambda: examine({}).as_dict(),
    "services status": lambda: Overview(()).as_dict(),
}  # fmt: skip


@pytest.mark.parametrize("command", DOCUMENTS)
def test_the_documents_name_every_key(command: str) -> None:
    document = json.loads(as_json(DOCUMENTS[command]()))
    assert set(document) == documented(command)


def test_the_description_of_a_network_has_the_keys_that_the_documents_name(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["describe", "--json"])
    assert set(json.loads(capsys.readouterr().out)) == documented("describe")


def reporting() -> set[str]:
    """The commands that have --json."""
    [subcommands] = [action.choices for action in make_parser()._actions if action.dest == "command"]
    assert subcommands is not None
    return {name for name, parser in subcommands.items() if "--json" in parser._option_string_actions}


def test_every_command_reports_in_json_or_has_a_reason_not_to() -> None:
    assert reporting() == set(make_parser().commands()) - set(WITHOUT)


def test_every_command_with_a_report_is_documented() -> None:
    named = {name.split()[0] for commands, _ in ROWS for name in re.findall(r"`([\w -]+)`", commands)}
    assert named == reporting() - LINES
    assert reporting() > LINES


VALIDATION = {
    **{"success": True, "files": 0, "kept": 0, "excluded": []},
    **{"problems": [], "classes": {}, "suites": []},
}
CHEAP = {
    "describe": ["describe", "--classes", "3"],
    "docs": ["docs"],
    "doctor": ["doctor"],
    "sample": ["sample", "drawn"],
    "services status": ["services", "status"],
    "services stop": ["services", "stop"],
    "tracking": ["tracking"],
}


@pytest.mark.parametrize("command", CHEAP)
def test_nothing_but_the_document_is_on_standard_output(
    command: str, tree: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tree / "reports").mkdir()
    (tree / "reports/validation.json").write_text(json.dumps(VALIDATION), encoding="utf-8")
    monkeypatch.setattr("headstart.sources.sample.IMAGES_PER_CLASS", 2)
    with suppress(SystemExit):  # of a status that is a result, such as services that do not run
        main([*CHEAP[command], "--json"])
    assert set(json.loads(capfd.readouterr().out)) == documented(command)


@pytest.mark.parametrize("how", ["present", "pulled"])
def test_how_the_images_came_is_reported(
    how: str, repository: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    if how == "pulled":
        dvc(repository, "push", "--quiet")
        shutil.rmtree(repository / "data")
        shutil.rmtree(repository / ".dvc/cache")
    main(["data", "--json"])
    assert json.loads(capfd.readouterr().out) == {"folder": "data", "how": how}
    assert len(list((repository / "data").rglob("*.png"))) == 48


def test_an_error_leaves_standard_output_empty(tree: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["show", "--json"])
    assert str(ended.value).startswith("headstart show: error: there is no reports/metrics.json")
    assert capfd.readouterr().out == ""


def test_what_others_print_does_not_mix_with_results(capsys: pytest.CaptureFixture[str]) -> None:
    for in_json in (True, False):
        with results_alone(in_json):
            print("from a library")
            print_result(in_json, lambda: {"in": "json"}, lambda: "for a person")
        said = capsys.readouterr()
        assert said.out == ('{\n  "in": "json"\n}\n' if in_json else "from a library\nfor a person\n")
        assert said.err == ("from a library\n" if in_json else "")


def test_numbers_have_all_their_digits_and_are_finite() -> None:
    text = as_json({"third": 1 / 3, "gone": float("nan"), "pair": (float("inf"), np.float64(0.1))})
    assert json.loads(text) == {"third": 1 / 3, "gone": None, "pair": [None, 0.1]}
    assert "0.3333333333333333" in text


def test_any_name_can_be_printed() -> None:
    text = as_json({"path": "caf\u00e9-\udcff.png"}, indent=2)
    assert "caf\u00e9" in text
    text.encode("utf-8")
    assert json.loads(text) == {"path": "caf\u00e9-\udcff.png"}


def test_a_value_of_another_kind_is_an_error() -> None:
    with pytest.raises(TypeError, match="PosixPath"):
        as_json({"folder": Path("x")})


def test_answers_are_one_document_per_line(capsys: pytest.CaptureFixture[str]) -> None:
    files = [Path("a.png"), Path("b.png")]
    answers = [(files[0], np.array([0.25, np.nan])), (files[1], DataError("cut off"))]
    print_predictions(answers, ["ok", "bad"], files, True)
    print_top(answers, ["ok", "bad"], files, 1, True)
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert found[0]["probabilities"] == {"ok": 0.25, "bad": None}
    assert found[1] == found[3] == {"path": "b.png", "error": "cut off"}
    assert set(found[2]) == {"path", "top"}
    assert set(found[2]["top"][0]) == {"index", "category", "probability"}
