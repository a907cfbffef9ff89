"""Pipes, devices, links that lead nowhere and names that are not UTF-8: each is an error of its own."""

import io
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from decoder import TRANSFORM, Pixels
from odd_files import NOT_UTF8, REASONS, make_odd_files

from headstart.cli.prediction_output import print_predictions, print_top
from headstart.errors import DataError, HeadstartError, LineageError, ModelError
from headstart.pipeline.data import reading
from headstart.pipeline.data.labels import read_table
from headstart.pipeline.data.limits import ANY_PICTURE
from headstart.pipeline.data.manifest import read_checked
from headstart.pipeline.data.reading import read_file
from headstart.pipeline.data.shown import jpeg_of
from headstart.pipeline.network.checkpoint import metadata
from headstart.repository import results
from headstart.sources.finding import find_images
from headstart.sources.scoring_inputs import find_inputs
from headstart.versions.monitoring.observing import Observer
from headstart.versions.serving.answering import _of_bytes
from headstart.versions.serving.model_process import Answer, ModelProcess
from headstart.versions.serving.path_access import PathAccess
from headstart.versions.serving.scoring import score

ESCAPED = r"name\udcff.png"
UNNAMEABLE = "its name is not UTF-8; rename it (`convmv` renames many)"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_odd_files(tmp_path / "odd", not_utf8=True)
    return tmp_path / "odd"


@pytest.mark.parametrize("pattern", ["", "*.png"])
def test_each_is_scored_or_has_its_error(folder: Path, pattern: str) -> None:
    files = find_images([str(folder / pattern)])
    found = {path.name: answer for path, answer in score(files, Pixels())}
    assert isinstance(found.pop("good.png"), np.ndarray)
    assert {name: str(error) for name, error in found.items()} == REASONS | {NOT_UTF8: UNNAMEABLE}


def test_each_has_its_error_if_it_is_named(folder: Path) -> None:
    names = [*REASONS, NOT_UTF8, "n" * 300 + ".png"]
    files = find_images(str(folder / name) for name in names)
    assert [path.name for path in files] == names
    found = [str(answer) for _, answer in score(files, Pixels())]
    assert found == [*REASONS.values(), UNNAMEABLE, "File name too long"]


@pytest.mark.parametrize("as_json", [False, True])
def test_names_that_are_not_utf8_are_printed_with_escapes(
    as_json: bool, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [folder / NOT_UTF8]
    answers = [(files[0], np.ones(1))]
    print_predictions(answers, ["ok"], files, as_json)
    print_top(answers, ["ok"], files, 1, as_json)
    with pytest.raises(HeadstartError, match="none of 1 files"):
        print_predictions([(files[0], DataError("why"))], ["ok"], files, as_json)
    lines = capsys.readouterr().out.splitlines()
    assert sum(ESCAPED in line for line in lines) == 3
    if as_json:
        assert {json.loads(line)["path"] for line in lines} == {str(files[0])}


def test_inputs_of_batch_scoring_name_them_in_utf8(folder: Path, tmp_path: Path) -> None:
    found = find_inputs(str(folder), (tmp_path / "out.parquet",))
    assert {each.path: Path(each.location).name for each in found} == {
        str(folder / reading.shown(name)): name for name in (*REASONS, "good.png", NOT_UTF8)
    }
    assert [each.path for each in find_inputs(str(folder / "loop.png"))] == [str(folder / "loop.png")]


@pytest.mark.parametrize("kind", ["txt", "csv"])
def test_a_name_that_is_not_utf8_does_not_stop_a_list(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"list.{kind}"
    path.write_bytes(b"path\na.png\n\xff.png\n" if kind == "csv" else b"a.png\n\xff.png\n")
    assert [each.path for each in find_inputs(str(path))] == ["a.png", r"\udcff.png"]
    path.write_bytes("a.png\nb.png\n".encode("utf-16"))
    with pytest.raises(DataError, match="NUL characters; expected UTF-8|has no column `path`"):
        find_inputs(str(path))


def test_a_model_is_not_asked_for_a_name_that_is_not_utf8() -> None:
    process = ModelProcess(SimpleNamespace(name="models:/a/1"))  # type: ignore[arg-type]
    answers = io.StringIO('{"rows": [["ok", {"ok": 1.0}, null]]}\n')
    process._process = SimpleNamespace(stdin=io.StringIO(), stdout=answers)  # type: ignore[assignment]
    refused = Answer(None, None, UNNAMEABLE)
    assert process.ask([NOT_UTF8, "a.png"]) == [refused, Answer("ok", {"ok": 1.0}, None)]
    assert json.loads(process._process.stdin.getvalue())["paths"] == ["a.png"]  # type: ignore[union-attr]
    assert process.ask([NOT_UTF8]) == [refused]


@pytest.mark.parametrize("name", [*REASONS, NOT_UTF8])
def test_a_request_that_names_one_by_path_has_an_error_for_it(folder: Path, name: str) -> None:
    for setting in ("*", str(folder)):
        with pytest.raises(DataError) as caught:
            PathAccess(setting).read(str(folder / name))
        reasons = {**REASONS, NOT_UTF8: UNNAMEABLE, "gone.png": "there is no file"}
        if setting != "*":
            reasons["device.png"] = "is not below a place"
        assert reasons[name] in str(caught.value)
        assert reading.is_utf8(str(caught.value))
    assert PathAccess(str(folder)).read(str(folder / "good.png"))


def test_an_old_version_is_not_given_a_pipe(folder: Path) -> None:
    assert _of_bytes(None, str(folder / "pipe.png"))[2] == f"there is no file {folder / 'pipe.png'}"


@pytest.mark.parametrize("name", [*REASONS, NOT_UTF8])
def test_an_observer_lists_each_as_a_failure(folder: Path, name: str) -> None:
    observer: Any = Observer.__new__(Observer)
    observer.predictor = SimpleNamespace(limits=ANY_PICTURE, transform=TRANSFORM)
    assert observer._read("good", folder / "good.png").facts["size"] == 256
    error = observer._read("odd", folder / name)
    assert isinstance(error, DataError)
    assert str(error) == (REASONS | {NOT_UTF8: UNNAMEABLE})[name]


def test_pages_and_later_stages_wait_for_no_pipe(folder: Path) -> None:
    assert jpeg_of(folder / "good.png")
    assert jpeg_of(folder / "pipe.png") == b""
    with pytest.raises(DataError, match=r"cannot read .*pipe\.png: is a pipe.*run the validate stage again"):
        read_checked(folder / "pipe.png", "0" * 64)
    os.mkfifo(folder / "labels.csv")
    with pytest.raises(DataError, match="labels.csv, which data.labels names, is no file"):
        read_table(folder / "labels.csv")


def test_dvc_is_not_given_what_it_would_wait_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "dvc", lambda *_: pytest.fail("DVC would hang"))
    with pytest.raises(LineageError, match=r"odd/\S+ is a (pipe|socket|device), and DVC would wait for it"):
        results.add(folder)


def test_a_head_is_no_pipe(folder: Path) -> None:
    with pytest.raises(ModelError, match=r"pipe\.png as safetensors: it is no file"):
        metadata(folder / "pipe.png")


def test_a_file_that_became_a_pipe_meanwhile_is_not_waited_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "kind_of", lambda mode: "")
    assert read_file(folder / "pipe.png") == b""


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "large.png").open("wb") as file:
        file.truncate((512 << 20) + 1)
    with pytest.raises(DataError, match="holds 536870913 bytes, expected at most 536870912; make it smaller"):
        read_file(tmp_path / "large.png")


def test_of_a_growing_file_no_more_is_read_than_it_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.png").write_bytes(b"1234")
    fstat = os.fstat

    def growing(descriptor: int) -> os.stat_result:
        found = fstat(descriptor)
        with (tmp_path / "a.png").open("ab") as file:
            file.write(b"5678")
        return found

    monkeypatch.setattr(os, "fstat", growing)
    assert read_file(tmp_path / "a.png") == b"1234"
