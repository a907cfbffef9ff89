"""An exported version answers as it was evaluated: a folder with no server, a file with no Headstart."""

import filecmp
import io
import json
import pickle
import pickletools
import re
import shutil
import sys
import zipfile
from pathlib import Path

import mlflow
import onnxruntime
import pandas as pd
import pytest
import torch
from projects import (
    ROOT,
    headstart,
    result_of,
    run,
)
from registries import client_of, uri_of
from templates import make_registered
from torch.export import ExportedProgram

import headstart as product
from headstart.cli.main import main
from headstart.errors import HeadstartError, ModelError, TrackingError
from headstart.versions.export import folder, logged
from headstart.versions.export.program import program_of
from headstart.versions.registry import tracking
from headstart.versions.registry.exported import CARD, NAME
from headstart.versions.registry.record import open_record
from headstart.versions.registry.stored_model import file_digest
from headstart.versions.serving.http.card import Card, card_of
from headstart.versions.serving.opening import open_model
from headstart.versions.serving.predictor import Predictor

VERSION = "models:/headstart/1"


@pytest.fixture(scope="module")
def project(common: Path) -> Path:
    """A registered champion; its version refers to the frozen layers on the server."""
    root = common / "project"
    make_registered(root)
    return root


@pytest.fixture(scope="module")
def exported(project: Path, common: Path) -> Path:
    """The folder, moved away from where it was written."""
    found = result_of(project, "export", "headstart@champion", "../out", "--format", "folder")
    assert found["model"] == VERSION
    assert found["digest"] == file_digest(common / "out" / NAME)
    assert found["bytes"] == sum(
        path.stat().st_size for path in (common / "out").rglob("*") if path.is_file()
    )
    return (common / "out").rename(common / "moved")


@pytest.fixture
def copied(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy in a working folder without a project, a server or a cache."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(exported, tmp_path / "copy"))


def test_it_brings_its_card_for_the_page(copied: Path, project: Path) -> None:
    assert card_of(open_model("copy", None)) == Card((copied / CARD).read_text(), None)
    version = client_of(project).get_model_version("headstart", "1")
    assert (copied / CARD).read_text() == version.description != ""
    (copied / CARD).write_text("better")
    with pytest.raises(ModelError, match="card.md has SHA-256"):
        open_model(str(copied), None)


def test_it_answers_what_evaluate_wrote(project: Path, copied: Path) -> None:
    expected = pd.read_parquet(project / "artifacts/predictions.parquet")
    model = product.load("copy")
    assert model.version == VERSION
    answers = model.predict([project / "data" / path for path in expected["path"]])
    assert answers["label"].tolist() == expected["predicted"].tolist()
    for name in model.classes:
        own = answers["probabilities"].map(lambda found, name=name: found[name])
        assert (own - expected[f"probability:{name}"]).abs().max() < 1e-5


def test_the_command_line_answers_with_it(
    project: Path, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["predict", "--json", "--model", "copy", str(project / "data/light/000.png")])
    assert json.loads(capsys.readouterr().out)["label"] == "light"


def test_mlflow_answers_with_it_alone(project: Path, copied: Path) -> None:
    photo = project / "data/light/000.png"
    code = (
        "import sys, mlflow.pyfunc, pandas as pd; model = mlflow.pyfunc.load_model('copy');"
        "print(model.predict(pd.DataFrame({'image': [open(sys.argv[1], 'rb').read()]})).label[0])"
    )

    assert run(copied.parent, sys.executable, "-P", "-c", code, str(photo)).stdout.splitlines()[-1] == "light"


@pytest.mark.parametrize("name", ["MLmodel", "artifacts/head.safetensors", "artifacts/backbone.safetensors"])
def test_a_changed_or_missing_file_is_named(name: str, copied: Path) -> None:
    path = copied / name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match=f"copy/{name} has SHA-256 .* it was changed after it was exported"):
        product.load("copy")
    path.unlink()
    with pytest.raises(ModelError, match=f"copy/{name} is missing"):
        product.load("copy")


def test_a_damaged_list_of_files_is_an_error(copied: Path) -> None:
    (copied / NAME).write_text('{"files": {"../x": 1}}')
    with pytest.raises(ModelError, match="does not describe an exported version"):
        product.load("copy")


def test_nothing_is_overwritten_and_nothing_half_written(
    project: Path, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    command = ["export", VERSION, "../new", "--format", "folder"]
    with pytest.raises(SystemExit, match="moved exists and is left as it is"):
        main(["export", VERSION, str(exported), "--format", "folder"])

    def fail(*_: object) -> None:
        raise ModelError("it stops here")

    monkeypatch.setattr(folder.exported, "write_manifest", fail)
    before = set(project.parent.iterdir())
    with pytest.raises(SystemExit, match="it stops here"):
        main(command)
    assert set(project.parent.iterdir()) == before


def test_a_package_holds_version_server_and_libraries(project: Path, exported: Path, tmp_path: Path) -> None:
    found = result_of(project, "package", "headstart@champion", str(tmp_path / "image"))
    image = tmp_path / "image"
    assert (found["model"], found["digest"]) == (VERSION, file_digest(image / "model" / NAME))
    assert found["bytes"] == sum(path.stat().st_size for path in image.rglob("*") if path.is_file())
    assert filecmp.dircmp(image / "server/headstart", ROOT / "src/headstart").left_only == []
    text = (image / "Dockerfile").read_text()
    assert f'headstart.export="sha256:{found["digest"]}"' in text
    assert f"ARG BASE=python:{found['python']}-slim" in text
    assert re.search(r"^USER 65532:65532$", text, re.MULTILINE)
    assert "--open" not in text
    assert {path.stat().st_mode & 0o777 for path in image.rglob("*")} == {0o755, 0o644}
    assert headstart(project, "package", VERSION, str(image), status=1).count("is left as it is") == 1


def test_a_package_is_there_whole_or_not_at_all(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ModelError("it stops here")

    monkeypatch.chdir(project)
    monkeypatch.setattr("headstart.containers.image_folder._write_server", fail)
    with pytest.raises(SystemExit, match="it stops here"):
        main(["package", VERSION, str(tmp_path / "image")])
    assert not [path for path in tmp_path.iterdir() if "image" in path.name]


def test_an_onnx_file_needs_its_runtime_alone(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    found = result_of(project, "export", "headstart@champion", str(tmp_path / "a.onnx"), "--format", "onnx")
    expected = pd.read_parquet(project / "artifacts/predictions.parquet")
    assert (found["model"], found["images"]) == (VERSION, len(expected))
    assert found["probability_gap"] < 1e-5
    session = onnxruntime.InferenceSession(tmp_path / "a.onnx")
    assert [(own.name, own.type, own.shape) for own in session.get_inputs()] == [
        ("pixels", "tensor(uint8)", ["N", 224, 224, 3])
    ]
    described = {key: json.loads(value) for key, value in session.get_modelmeta().custom_metadata_map.items()}
    assert (described["version"], described["classes"]) == (VERSION, ["dark", "light"])
    assert (described["size"], described["interpolation"], described["abstain"]) == (224, "bilinear", None)
    client = client_of(project)
    version = client.get_model_version("headstart", "1")
    assert version.tags["export.onnx"] == found["digest"] == file_digest(tmp_path / "a.onnx")
    logged = client.download_artifacts(version.run_id, found["artifact"], str(tmp_path))
    assert file_digest(Path(logged)) == found["digest"]
    again = result_of(project, "export", VERSION, str(tmp_path / "b.onnx"), "--format", "onnx", "--no-log")
    assert (again["digest"], again["artifact"]) == (found["digest"], None)
    assert str(ROOT).encode() not in (tmp_path / "a.onnx").read_bytes()


def test_the_example_of_the_documents_answers_alike(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [example] = re.findall(r"```python\n(.*?)```", (ROOT / "docs/export.md").read_text(), flags=re.DOTALL)
    command = ("export", VERSION, str(tmp_path / "champion.onnx"), "--format", "onnx", "--no-log")
    headstart(project, *command)
    row = pd.read_parquet(project / "artifacts/predictions.parquet").iloc[0]
    shutil.copy(project / "data" / row["path"], tmp_path / "photo.jpg")
    label, probability = run(tmp_path, sys.executable, "-P", "-c", example).stdout.split()
    assert label == row["predicted"]
    assert float(probability) == pytest.approx(row["confidence"], abs=1e-5)


def test_a_torch_program_needs_torch_alone(project: Path, tmp_path: Path) -> None:
    headstart(project, "export", VERSION, str(tmp_path / "a.pt2"), "--format", "torch")
    code = (
        "import sys, torch; files = {'headstart.json': ''};"
        "model = torch.export.load('a.pt2', extra_files=files).module();"
        "assert not {'headstart', 'torchvision'} & sys.modules.keys();"
        "print(list(model(torch.zeros(5, 224, 224, 3, dtype=torch.uint8)).shape), files['headstart.json'])"
    )
    said = run(tmp_path, sys.executable, "-P", "-c", code).stdout.splitlines()[-1]
    assert said.startswith("[5, 2] {")
    with zipfile.ZipFile(tmp_path / "a.pt2") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    assert next(content for name, content in members.items() if "sample_inputs" in name) == b""
    assert [name for name, content in members.items() if is_pickle(content)] == []
    assert [name for name, content in members.items() if str(ROOT).encode() in content] == []


def is_pickle(content: bytes) -> bool:
    """Whether bytes are a pickle, or an archive with one: such as `torch.save` writes, under any name."""
    if zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return any(is_pickle(archive.read(name)) for name in archive.namelist())
    try:
        return any(code.name == "STOP" for code, _, _ in pickletools.genops(content))
    except (ValueError, IndexError, UnicodeDecodeError):
        return False


def test_pickles_are_known_by_their_contents() -> None:
    saved = io.BytesIO()
    torch.save(torch.zeros(2), saved)
    assert is_pickle(saved.getvalue())
    assert is_pickle(pickle.dumps({"a": 1}, protocol=0))
    assert not is_pickle(b"")
    assert not is_pickle(b'{"graph_module": {}}')


def test_an_int8_file_is_judged_and_logged_beside_the_other(project: Path, tmp_path: Path) -> None:
    command = ("export", VERSION, "--format", "onnx", "--precision", "int8")
    found = result_of(project, *command, str(tmp_path / "a.onnx"), "--calibration-images", "16")
    expected = pd.read_parquet(project / "artifacts/predictions.parquet")
    drawn, change = found["int8"]["calibration"], found["int8"]["change"]
    assert (found["precision"], found["images"], drawn["images"]) == ("int8", len(expected), 16)
    assert change["low"] <= change["change"] <= change["high"]
    assert found["bytes"] < 0.6 * found["int8"]["fp32_bytes"]  # of a narrow network; 0.25 of a whole one
    assert min(found["int8"]["speed"].values()) > 0
    session = onnxruntime.InferenceSession(tmp_path / "a.onnx")
    described = {key: json.loads(value) for key, value in session.get_modelmeta().custom_metadata_map.items()}
    assert (described["version"], described["precision"]) == (VERSION, "int8")
    assert described["calibration"] == drawn
    client = client_of(project)
    version = client.get_model_version("headstart", "1")
    assert version.tags["export.onnx-int8"] == found["digest"] == file_digest(tmp_path / "a.onnx")
    logged = client.download_artifacts(version.run_id, found["artifact"], str(tmp_path))
    assert file_digest(Path(logged)) == found["digest"]
    again = result_of(project, *command, str(tmp_path / "b.onnx"), "--calibration-images", "16")
    assert (again["digest"], again["artifact"]) == (found["digest"], found["artifact"])


def test_int8_that_may_be_worse_than_the_margin_is_refused(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    command = ["export", VERSION, str(tmp_path / "a.onnx"), "--format", "onnx", "--precision", "int8"]
    before = client_of(project).get_model_version("headstart", "1").tags
    with pytest.raises(
        SystemExit, match="int8 is not as good as .*required: the whole interval above 0.1 po"
    ):
        main([*command, "--margin", "0.001"])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri_of(project))
    with pytest.raises(SystemExit, match=r"images that count, 50 are needed \(gate.min_images\)"):
        main([*command, "--images", str(project / "data")])
    assert list(tmp_path.glob("*.onnx*")) == []
    assert client_of(project).get_model_version("headstart", "1").tags == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--format", "torch", "--precision", "int8"], "--precision int8 is for --format onnx, not torch"),
        (["--format", "onnx", "--margin", "0.1"], "--margin is for --precision int8"),
        (["--format", "folder", "--no-log"], "are for files: a folder holds the version as it is"),
        (["--format", "onnx", "--replace", "--no-log"], "--no-log stores none"),
        (["--format", "onnx", "--precision", "int8", "--calibration-images", "0"], "expected at least 1"),
        (["--format", "onnx", "--precision", "int8", "--margin", "2"], "--margin: input should be less"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    options: list[str], said: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    with pytest.raises(SystemExit, match=said):
        main(["export", VERSION, "../never", *options])


def test_another_file_takes_the_tag_only_if_asked(project: Path, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("1")
    other.write_text("2")
    with tracking.in_project(project):
        record = open_record(VERSION, tmp_path / "record")

        def store(path: Path, replace: bool = False) -> str:
            return logged.store(record, "kind", path, "model.bin", file_digest(path), replace)

        first = store(one)
        assert store(one) == first
        with pytest.raises(HeadstartError, match=f"tag export.kind has SHA-256 {file_digest(one)[:12]}, "):
            store(other)
        second = store(other, replace=True)
        kept = {path: mlflow.artifacts.load_text(f"runs:/{record.run_id}/{path}") for path in (first, second)}
    assert kept == {first: "1", second: "2"}
    assert client_of(project).get_model_version("headstart", "1").tags["export.kind"] == file_digest(other)


def test_a_file_that_cannot_be_logged_is_not_there(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise TrackingError("the server is gone")

    monkeypatch.chdir(project)
    monkeypatch.setattr("headstart.versions.export.logged.versions.tag", fail)
    with pytest.raises(SystemExit, match="the server is gone"):
        main(
            ["export", "runs:/" + run_id_of(project) + "/model", str(tmp_path / "a.pt2"), "--format", "torch"]
        )
    assert list(tmp_path.glob("*a.pt2*")) == []


def run_id_of(project: Path) -> str:
    return str(client_of(project).get_model_version("headstart", "1").run_id)


def test_what_a_killed_export_left_is_gone_after_the_next_one(tmp_path: Path) -> None:
    left = tmp_path / ".out.new" / "artifacts"
    left.mkdir(parents=True)
    (left / "half").touch()
    with folder.making(tmp_path / "out") as new:
        assert list(new.iterdir()) == []
        (new / "whole").touch()
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == [
        "out",
        "out/whole",
    ]


def test_score_names_what_answers_from_a_folder(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="copy is a folder, .* `headstart predict --model copy"):
        main(["score", ".", "out.parquet", "--model", "copy"])


def test_a_file_that_answers_otherwise_is_refused(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def less_sure(predictor: Predictor) -> ExportedProgram:
        predictor.head.temperature = 100.0
        return program_of(predictor)

    monkeypatch.chdir(project)
    monkeypatch.setattr("headstart.versions.export.export.program_of", less_sure)
    before = client_of(project).get_model_version("headstart", "1").tags
    with pytest.raises(SystemExit, match="does not answer as models:/headstart/1 was evaluated"):
        main(["export", VERSION, str(tmp_path / "a.pt2"), "--format", "torch"])
    assert not (tmp_path / "a.pt2").exists()
    assert client_of(project).get_model_version("headstart", "1").tags == before


def test_outside_of_a_project_the_test_images_are_named(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri_of(project))
    command = ["export", VERSION, "a.pt2", "--format", "torch", "--no-log", "--json"]
    with pytest.raises(SystemExit, match="name their folder with --images"):
        main(command)
    with pytest.raises(SystemExit, match="--images: there is no folder none"):
        main([*command, "--images", "none"])
    with pytest.raises(SystemExit, match="neither in \\./ nor in DVC"):
        main([*command, "--images", "."])
    assert list(folder.iterdir()) == []
    main([*command, "--images", str(project / "data")])
    assert json.loads(capsys.readouterr().out)["out"] == "a.pt2"
    assert [path.name for path in folder.iterdir()] == ["a.pt2"]
