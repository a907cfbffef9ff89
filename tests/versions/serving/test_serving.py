"""The article's head, from `dvc repro` to an answer over HTTP."""

import base64
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from processes import end
from projects import draw_images, edit_params, headstart, make_repository, repro, run
from registries import uri_of
from servers import free_port

pytestmark = pytest.mark.server
START_SECONDS = 120


@pytest.fixture
def served(tree: Path) -> Iterator[tuple[Path, str]]:
    """A project whose `classifier.6` is trained and registered, and the address that serves it."""
    draw_photographs(tree / "data")
    edit_params(tree, **{"model.head": "linear", "register.thresholds.accuracy": 0.0})
    edit_params(tree, **{"register.thresholds.balanced_accuracy": 0.0})
    make_repository(tree)
    repro(tree)
    assert "version 1 registered (alias: challenger, champion)" in headstart(tree, "register")
    port = free_port()
    environment = {**os.environ, "SERVE_PORT": str(port), "HEADSTART_PYTHON": sys.executable}
    environment["HEADSTART_PATHS"] = str(tree / "data")
    command = ["sh", "mlflow/serve-model", "models:/headstart@champion"]
    with (tree / "serve.log").open("wb") as log:
        server = subprocess.Popen(
            command, cwd=tree, env=environment, start_new_session=True, stdout=log, stderr=log
        )
    try:
        wait_until_up(port, server, tree / "serve.log")
        yield tree, f"http://127.0.0.1:{port}/invocations"
    finally:
        end(server, 30)


def draw_photographs(data: Path) -> None:
    """JPEG files of three classes."""
    draw_images(data, {"red": 15, "green": 15, "blue": 15})
    for path in list(data.rglob("*.png")):
        Image.open(path).save(path.with_suffix(".jpg"), quality=85)
        path.unlink()


def wait_until_up(port: int, server: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        assert server.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=2).close()
            return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(log.read_text())


def ask(address: str, images: list[bytes]) -> list[dict[str, object]]:
    rows = [[base64.b64encode(image).decode()] for image in images]
    return post(address, {"dataframe_split": {"columns": ["image"], "data": rows}})


def ask_paths(address: str, paths: list[str]) -> list[dict[str, object]]:
    return post(address, {"dataframe_records": [{"path": path} for path in paths]})


def post(address: str, document: dict[str, object]) -> list[dict[str, object]]:
    body = json.dumps(document).encode()
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        predictions: list[dict[str, object]] = json.load(answer)["predictions"]
    return predictions


def refused(address: str, document: dict[str, object]) -> str:
    with pytest.raises(urllib.error.HTTPError) as error:
        post(address, document)
    assert error.value.code == 400
    return error.value.read().decode()


def batch_answers(root: Path, paths: list[str]) -> list[dict[str, object]]:
    """Answers of `headstart score`, in the form of an answer over HTTP."""
    source, out = root / "list.txt", root / "scored.parquet"
    source.write_text("\n".join(paths))
    headstart(root, "score", str(source), str(out))
    rows = pd.read_parquet(out).to_dict(orient="records")
    names = [name for name in rows[0] if name.startswith("probability:")]
    return [
        {
            "label": row["label"],
            "probabilities": {name.partition(":")[2]: row[name] for name in names},
            "model_version": row["model_version"],
            "error": row["error"] if isinstance(row["error"], str) else None,
        }
        for row in rows
    ]


def loaded_answers(root: Path, images: list[bytes]) -> list[dict[str, object]]:
    """Answers of `mlflow.pyfunc.load_model` in a process of its own."""
    code = (
        "import sys, json, mlflow, pandas as pd; from pathlib import Path;"
        "model = mlflow.pyfunc.load_model('models:/headstart@champion');"
        "images = pd.DataFrame({'image': [Path(name).read_bytes() for name in sys.argv[1:]]});"
        "print(json.dumps(model.predict(images).to_dict(orient='records')))"
    )
    for number, image in enumerate(images):
        (root / f"{number}.image").write_bytes(image)
    names = [str(root / f"{number}.image") for number in range(len(images))]
    said = run(
        root, "env", f"MLFLOW_TRACKING_URI={uri_of(root)}", sys.executable, "-P", "-c", code, *names
    ).stdout
    found: list[dict[str, object]] = json.loads(said.splitlines()[-1])
    return found


def test_the_champion_answers_what_evaluate_wrote_however_it_is_asked(served: tuple[Path, str]) -> None:
    root, address = served
    expected = pd.read_parquet(root / "artifacts/predictions.parquet")
    paths = [str(root / "data" / path) for path in expected["path"]]
    images = [Path(path).read_bytes() for path in paths]
    ways = {
        "one by one": [ask(address, [image])[0] for image in images],
        "together": ask(address, images),
        "paths": ask_paths(address, paths),
        "loaded": loaded_answers(root, images),
        "batch": batch_answers(root, paths),
    }
    for way, answers in ways.items():
        for answer, row in zip(answers, expected.to_dict(orient="records"), strict=True):
            assert answer["label"] == row["predicted"], way
            assert answer["error"] is None
            assert answer["model_version"] == "models:/headstart/1"
            probabilities = answer["probabilities"]
            assert isinstance(probabilities, dict)
            assert set(probabilities) == {"red", "green", "blue"}
            for name, value in probabilities.items():
                assert abs(value - row[f"probability:{name}"]) < 1e-3, way
    _check_bad_requests(root, address, images[0], paths[0])


def _check_bad_requests(root: Path, address: str, image: bytes, path: str) -> None:
    good, damaged, empty = ask(address, [image, image[:100], b""])
    assert good["error"] is None
    for answer in (damaged, empty):
        assert answer["label"] is None
        assert answer["probabilities"] is None
        assert answer["model_version"] == "models:/headstart/1"
        assert "cannot be decoded" in str(answer["error"])
    good, outside, missing = ask_paths(address, [path, str(root / "params.yaml"), f"{root}/data/none.jpg"])
    assert good["error"] is None
    assert "is not below a place that HEADSTART_PATHS allows" in str(outside["error"])
    assert "there is no file" in str(missing["error"])
    encoded = base64.b64encode(image).decode()
    both = {"columns": ["image", "path"], "data": [[encoded, path]]}
    assert "this request has image and path" in refused(address, {"dataframe_split": both})
    assert "this request has neither" in refused(address, {"dataframe_records": [{"picture": encoded}]})
    one = {"columns": ["image"], "data": [[encoded]]}
    said = refused(address, {"dataframe_split": one, "params": {"batch": 100_000}})
    assert "batch is 100000; expected 1 to 256" in said
    some = {"columns": ["image"], "data": [[encoded], [None], [encoded[:-1]]]}
    good, none, cut = post(address, {"dataframe_split": some})
    assert good["error"] is None
    assert "no image" in str(none["error"])
    assert "not Base64" in str(cut["error"])
    _check_that_the_server_is_ours(address)


def _check_that_the_server_is_ours(address: str) -> None:
    deep = urllib.request.Request(address, b"[" * 200_000, {"Content-Type": "application/json"})
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(deep, timeout=60)
    assert "nested too deeply" in error.value.read().decode()
