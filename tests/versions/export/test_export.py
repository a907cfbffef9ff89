"""An exported version answers as it was evaluated: a folder with no server, a file with no Headstart."""

import filecmp
import json
import re
import shutil
import sys
import zipfile
from pathlib import Path

import onnxruntime
import pandas as pd
import pytest
from projects import (
    ROOT,
    headstart,
    make_registered,
    result_of,
    run,
)
from registries import client_of, uri_of
from torch.export import ExportedProgram

import headstart as product
from headstart.cli.main import main
from headstart.errors import ModelError
from headstart.versions.export import folder
from headstart.versions.export.program import program_of
from headstart.versions.registry.exported import NAME
from headstart.versions.registry.stored_model import file_digest
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
        names = archive.namelist()
        assert archive.read(next(name for name in names if "sample_inputs" in name)) == b""
        assert not [
            name for name in names if name.endswith(".pkl") or str(ROOT).encode() in archive.read(name)
        ]


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
