"""The commands for a network: describe, classify, predict, train further."""

import io
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from projects import commit, draw_images, edit_params, headstart, make_repository, make_tree, repro, run

from headstart.cli.main import main
from headstart.params import load_params

Said = tuple[str, str]


@pytest.fixture(scope="module")
def trained(common: Path) -> Path:
    """A project with a trained head of three classes."""
    root = common / "project"
    make_tree(root)
    draw_images(root / "data", {"dark": 24, "light": 24, "white": 24})
    make_repository(root)
    repro(root)
    return root


@pytest.fixture
def say(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Said]:
    """Run a command in the trained project or a folder in it; return its output and its errors."""

    def call(*arguments: str, folder: str = ".") -> Said:
        monkeypatch.chdir(trained / folder)
        try:
            main(list(arguments))
        except SystemExit as stopped:
            return capsys.readouterr().out, str(stopped)
        said = capsys.readouterr()
        return said.out, said.err

    return call


def test_describe_shows_layers_cut_and_totals(say: Callable[..., Said]) -> None:
    out, _ = say("describe")
    assert "vgg16, head pooled, 3 classes" in out
    assert "cut: 32 numbers per image" in out
    found = json.loads(say("describe", "--json", "--classes", "7")[0])
    assert found["layers"][-1]["output"] == [7]
    assert found["cut"] == {"after": "flatten", "shape": [32]}
    assert found["totals"]["parameters_trained"] == 32 * 7 + 7


def test_describe_imports_no_tensor_library(trained: Path) -> None:
    code = "from headstart.cli.main import main; main(['describe']); import sys; "
    code += "assert 'torch' not in sys.modules"
    assert "classifier.1" in run(trained, sys.executable, "-c", code).stdout


def test_predict_reads_files_folders_and_patterns(trained: Path, say: Callable[..., Said]) -> None:
    out, err = say("predict", "data/dark", "data/light/00*.png", "params.yaml", "missing.png")
    lines = out.splitlines()
    assert len(lines) == 24 + 10 + 2
    assert lines[0].split()[:2] == ["data/dark/000.png", "dark"]
    assert "params.yaml         cannot be read: cannot be decoded: not an image format" in lines[-2]
    assert "missing.png         cannot be read: No such file" in lines[-1]
    assert "model: artifacts/head.safetensors, head " in err


def test_predict_answers_as_evaluate_did(trained: Path, say: Callable[..., Said]) -> None:
    import pandas as pd

    expected = pd.read_parquet(trained / "artifacts/predictions.parquet")
    out, _ = say("predict", "--json", *(f"data/{path}" for path in expected["path"]))
    for line, row in zip(out.splitlines(), expected.to_dict(orient="records"), strict=True):
        found = json.loads(line)
        assert found["path"] == f"data/{row['path']}"
        assert found["label"] == row["predicted"]
        for name, probability in found["probabilities"].items():
            assert probability == pytest.approx(row[f"probability:{name}"], abs=1e-3)


def test_paths_are_those_of_the_folder_where_it_was_typed(say: Callable[..., Said]) -> None:
    out, _ = say("predict", "000.png", folder="data/dark")
    assert out.startswith("data/dark/000.png  dark")


def test_predict_explains_on_a_page(trained: Path, say: Callable[..., Said]) -> None:
    paths = ("data/dark/000.png", "data/white/001.png", "params.yaml")
    plain, _ = say("predict", *paths)
    out, err = say("predict", "--explain", "reports/why.html", *paths)
    assert out == plain
    assert "explained: reports/why.html" in err
    page = (trained / "reports/why.html").read_text()
    assert page.count('alt="Evidence for') == 2
    assert "2 pictures; 1 file could not be read." in page
    assert page.count("<span title=") == 6
    nearest = re.findall(r'<span title="(\w+)/\d+.png">.*?> (\w+), (-?[\d.]+)</span>', page)
    assert all(folder == label for folder, label, _ in nearest)
    assert {label for _, label, _ in nearest[:3]} == {"dark"}
    say("predict", "--explain", "reports/again.html", *paths)
    assert (trained / "reports/again.html").read_text() == page


def test_predict_explains_without_the_stored_features(trained: Path, say: Callable[..., Said]) -> None:
    features = trained / "artifacts/features.safetensors"
    aside = features.rename(features.with_name("aside.safetensors"))
    try:
        say("predict", "--explain", "reports/why.html", "data/dark/000.png")
    finally:
        aside.rename(features)
    page = (trained / "reports/why.html").read_text()
    assert "not shown: they are not stored here: there is no artifacts/features.safetensors" in page
    assert page.count('alt="Evidence for') == 1


def test_the_page_of_the_server_finds_the_same_evidence(trained: Path, say: Callable[..., Said]) -> None:
    from headstart.versions.serving.http.looking import CHANGED, NO_PROJECT, OPEN, Looking
    from headstart.versions.serving.opening import open_model

    expected = json.loads(say("predict", "--json", "data/white/001.png")[0])["probabilities"]
    say("predict", "--explain", "reports/why.html", "data/white/001.png")  # and enter the project
    opened = open_model("artifacts/head.safetensors")
    looking = Looking(opened, trained, is_open=False)
    pixels = opened.predictor.pixels((trained / "data/white/001.png").read_bytes())
    assert pixels.flags.writeable  # or torch warns, once a process
    probabilities, found = looking.look(pixels)
    assert probabilities == pytest.approx(list(expected.values()), abs=1e-6)
    assert Image.open(io.BytesIO(found.overlay or b"")).size == (224, 224)
    page = (trained / "reports/why.html").read_text()
    on_page = re.findall(r'<span title="(.+?)">.*?, (-?[\d.]+)</span>', page)
    assert [(near.path, f"{near.similarity:.2f}") for near in found.nearest][:3] == on_page
    assert (len(found.nearest), found.why_no_nearest) == (6, None)
    os.utime(trained / "artifacts/images.parquet")
    assert looking.look(pixels)[1][3:] == ((), CHANGED)
    for root, is_open, reason in ((None, False, NO_PROJECT), (trained, True, OPEN)):
        assert Looking(opened, root, is_open).look(pixels)[1][3:] == ((), reason)


@pytest.mark.parametrize("page", ["data/dark/000.png", "reports", "nowhere/why.html"])
def test_what_is_not_a_page_is_not_written(page: str, trained: Path, say: Callable[..., Said]) -> None:
    before = (trained / "data/dark/000.png").read_bytes()
    assert "--explain: " in say("predict", "--explain", page, "data/dark/001.png")[1]
    assert (trained / "data/dark/000.png").read_bytes() == before


def test_nothing_to_predict_is_an_error(say: Callable[..., Said]) -> None:
    assert "none of 1 files could be read" in say("predict", "params.yaml")[1]
    assert "nothing/*.jpg matches no file" in say("predict", "nothing/*.jpg")[1]
    assert "there is no head file nothing" in say("predict", "--model", "nothing", "data")[1]


def test_predict_refuses_what_validation_refuses(trained: Path, say: Callable[..., Said]) -> None:
    grey = np.linspace(0, 65535, 64 * 64).reshape(64, 64)
    folder = trained / "other"
    folder.mkdir()
    Image.fromarray(grey.astype(np.uint16)).save(folder / "16-bit.png")
    Image.fromarray(grey.astype(np.float32)).save(folder / "float.tiff")
    frames = [Image.new("RGB", (40, 40), (shade, 0, 0)) for shade in (10, 200)]
    frames[0].save(folder / "frames.png", save_all=True, append_images=frames[1:])
    Image.new("RGB", (20, 60)).save(folder / "small.png")
    (folder / "notes.xml").write_text("<xml/>")
    out, err = say("predict", "other")
    assert [line.split()[0] for line in out.splitlines()] == [
        *("other/16-bit.png", "other/float.tiff", "other/frames.png", "other/small.png")
    ]
    assert "float.tiff  cannot be read: mode is F, expected one of 1, L" in out
    assert "frames.png  cannot be read: holds 2 frames, expected 1" in out
    assert "small.png   cannot be read: width is 20 pixels, expected at least 32" in out
    assert "other: ignored files that are not images: notes.xml" in err


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("artifacts/features.safetensors", "is a features file, not a head"),
        ("artifacts/backbone.safetensors", "is a backbone, not a head"),
        ("weights.pth", "is a PyTorch file of weights, not a head"),
        ("params.yaml", "as safetensors"),
    ],
)
def test_init_from_says_what_a_file_is(
    trained: Path, say: Callable[..., Said], name: str, words: str
) -> None:
    (trained / "weights.pth").write_bytes(b"")
    err = say("init-from", name)[1]
    assert f"{name} {words}" in err
    assert "artifacts/head.safetensors, or a version such as headstart@champion" in err


def test_classify_names_categories_and_says_that_weights_are_random(
    say: Callable[..., Said],
) -> None:
    out, err = say("classify", "data/dark/000.png", "--top", "3")
    assert len(out.splitlines()) == 4
    assert "backbone.weights is random" in err
    found = json.loads(say("classify", "data/dark/000.png", "--json")[0])
    assert len(found["top"]) == 5
    scores = [entry["probability"] for entry in found["top"]]
    assert scores == sorted(scores, reverse=True)
    assert all(entry["category"] for entry in found["top"])


def test_a_network_that_does_not_fit_is_an_error_before_any_work(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw_images(tree / "data", {"a": 1, "b": 1, "c": 1})
    for replace, message in [
        ({"classifier.9": "relu"}, "there is no layer 'classifier.9'; did you mean"),
        ({"classifier.1": {"linear": 2}}, "expected 3, one per class (a, b, c)"),
    ]:
        edit_params(tree, **{"model.replace": replace})
        with pytest.raises(SystemExit) as stopped:
            main(["backbone"])
        assert message in str(stopped.value)
    assert not (tree / "artifacts").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features.max_gb": 1e-6}, r"features.max_gb: .*128 bytes per image, 0.0 GB for 40 images"),
        ({"features.max_gb": 6e-6, "features.views": 2}, "features.max_gb: .* for 61 images"),
        (
            {"train.class_weights": {"dork": 2.0}},
            "train.class_weights: there is no class 'dork'; did you mean",
        ),
        ({"evaluate.costs": {"bright": 2.0}}, "evaluate.costs: there is no class 'bright'"),
        ({"train.trials": [{"dropout": 0.1}]}, "train.trials: dropout is set, but no dropout layer"),
    ],
)
def test_limits_are_checked_before_images_are_decoded(
    tree: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, object], message: str
) -> None:
    for label in ("dark", "light"):
        (tree / "data" / label).mkdir(parents=True)
        for number in range(20):
            (tree / "data" / label / f"{number}.png").write_text("not a picture")
    edit_params(tree, **{"validate.max_excluded": 0.0, **changes})
    with pytest.raises(SystemExit, match=message):
        main(["validate"])
    assert not (tree / "reports").exists()


def test_limits_are_checked_by_the_manifest_before_images_are_packed(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = {"path": [f"{place}.png" for place in range(4)], "pixels": ["aa", "bb", "cc", "dd"]}
    rows |= {
        "label": ["a", "b", "a", "b"],
        "split": ["train", "train", "val", ""],
        "excluded": ["", "", "", "x"],
    }
    (tree / "artifacts").mkdir()
    pd.DataFrame(rows).to_parquet(tree / "artifacts" / "manifest.parquet")
    edit_params(tree, **{"features.max_gb": 5e-7, "features.views": 3})
    with pytest.raises(SystemExit, match="for 7 images, more than 5e-07 GB"):
        main(["preprocess"])
    assert not (tree / "artifacts" / "images.npy").exists()


def test_training_goes_further_from_a_head_and_a_class_may_be_added(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    root = Path(shutil.copytree(trained, tmp_path / "p", symlinks=True))
    assert "train.init is" in headstart(root, "init-from", "artifacts/head.safetensors")
    params = (root / "params.yaml").read_text()
    digest = load_params(root / "params.yaml").train.init
    assert digest is not None
    before = load_params(trained / "params.yaml").model_dump()
    before["train"]["init"] = digest
    assert load_params(root / "params.yaml").model_dump() == before
    assert params.count("#") == (trained / "params.yaml").read_text().count("#")
    assert "artifacts/init.safetensors.dvc" in run(root, "git", "status", "--short", "-uall").stdout
    assert "started from classifier.0, classifier.1 of the earlier head" in repro(root)
    draw_images(root / "data", {"other": 24}, seed=7)
    out = repro(root)
    assert "new: class other" in out
    again = headstart(root, "init-from", "artifacts/init.safetensors")
    assert load_params(root / "params.yaml").train.init == digest, again
    commit(root)
    (root / "artifacts/init.safetensors").unlink()
    edit_params(root, **{"train.lr": 0.01})
    assert "dvc pull artifacts/init.safetensors.dvc" in repro(root, check=False)


def test_a_training_that_was_killed_goes_on_and_ends_with_the_same_bytes(
    trained: Path, tmp_path: Path
) -> None:
    import os
    import shutil
    import subprocess
    import time

    root = Path(shutil.copytree(trained, tmp_path / "p", symlinks=True))
    edit_params(root, **{"train.epochs": 400, "train.patience": 400, "model.head": "pooled"})
    command = [str(root / "bin" / "headstart"), "train"]
    process = subprocess.Popen(command, cwd=root, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    states = tmp_path / "store" / "checkpoints"
    until = time.monotonic() + 60
    while not list(states.glob("*-0.safetensors")) and time.monotonic() < until:
        time.sleep(0.02)
    process.kill()
    assert process.wait() == -9
    assert len(list(states.glob("*-0.safetensors"))) == 1
    unfinished = states / ".state.safetensors.0123"  # as a kill during a write leaves it
    unfinished.touch()
    for left in states.glob(".*"):
        os.utime(left, (0, 0))
    assert "train: resumes where it was stopped" in headstart(root, "train")
    resumed = (root / "artifacts/head.safetensors").read_bytes(), (root / "reports/history.csv").read_bytes()
    assert list(states.iterdir()) == []
    assert "resumes" not in headstart(root, "train")
    straight = (root / "artifacts/head.safetensors").read_bytes(), (root / "reports/history.csv").read_bytes()
    assert resumed == straight


def test_everything_trained_copies_nothing(tree: Path, repository: Path) -> None:
    edit_params(tree, **{
        "model.head": "linear", "model.train": ["features", "classifier"], "train.epochs": 1,
        "train.batch_size": 16, "features.views": 2,
    })  # fmt: skip
    out = repro(repository)
    assert "the cut is the input: 48 images are read as they are" in out
    assert (repository / "artifacts/features.safetensors").stat().st_size < 5000
    assert "train: 1 epochs" in out
    assert "test images: accuracy" in out


def test_a_sweep_writes_every_trial(repository: Path) -> None:
    trials = {
        "count": 4,
        "seed": 1,
        "lr": {"low": 0.001, "high": 0.1, "log": True},
        "weight_decay": [0.0, 0.1],
    }
    edit_params(repository, **{"train.trials": trials, "train.epochs": 3, "features.views": 2})
    out = repro(repository)
    assert "2 views of each of" in out
    assert "train: 4 trials, the best of 3 epochs" in out
    rows = (repository / "reports/trials.csv").read_text().splitlines()
    assert len(rows) == 5
    assert rows[0].startswith("trial,lr,momentum,weight_decay,label_smoothing,dropout,epochs,best_epoch")
