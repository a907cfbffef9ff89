"""A request to a registered version: each row has its answer or its own error."""

import json
import threading
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import scoring_server
from served import IMAGE, TEXT, Network, loaded, served_model

from headstart.versions.serving.served_model import ServedModel
from headstart.versions.serving.signature import signature


@pytest.fixture
def served(tmp_path: Path) -> ServedModel:
    """A version that may read below `tmp_path`, where an image and a loop of links lie."""
    (tmp_path / "a.png").write_bytes(IMAGE)
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    return served_model(tmp_path)


def ask(model: ServedModel, document: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows that MLflow's own server answers with."""
    body = json.dumps(document).encode()
    answer = scoring_server.invocations(body, "application/json", loaded(model), signature().inputs)
    rows: list[dict[str, Any]] = json.loads(answer.response)["predictions"]
    return rows


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (None, "no image"),
        (5, "no image"),
        ([TEXT], "no image"),
        ("", "cannot be decoded"),
        ("A", "not Base64"),
        (TEXT[:-1], "not Base64"),
        ("é", "not Base64"),
        ("a\0b", "not Base64"),
        (f"data:image/png;base64,{TEXT}", "a data URI"),
    ],
)
@pytest.mark.parametrize("form", ["split", "records"])
def test_an_image_that_is_none_fails_alone(
    served: ServedModel, form: str, image: object, reason: str
) -> None:
    good, bad, last = ask(served, document(form, "image", [TEXT, image, f"{TEXT[:4]}\n{TEXT[4:]}"]))
    assert (good["label"], good["error"]) == (last["label"], last["error"]) == ("light", None)
    assert bad["label"] is None
    assert bad["model_version"] == "models:/m/1"
    assert bad["error"].startswith(reason)


@pytest.mark.parametrize("form", ["split", "records"])
@pytest.mark.parametrize("path", [None, 5, "", "a\0b", "{folder}/loop.png", "data:,x", ["x"], "x" * 5000])
def test_a_path_that_cannot_be_read_fails_alone(
    served: ServedModel, tmp_path: Path, form: str, path: object
) -> None:
    bad_path = path.format(folder=tmp_path) if isinstance(path, str) else path
    good, bad = ask(served, document(form, "path", [f"{tmp_path}/a.png", bad_path]))
    assert (good["label"], good["error"]) == ("light", None)
    assert bad["label"] is None
    assert bad["error"]


def document(form: str, column: str, values: list[Any]) -> dict[str, Any]:
    if form == "split":
        return {"dataframe_split": {"columns": [column], "data": [[value] for value in values]}}
    return {"dataframe_records": [{column: value} for value in values]}


def test_python_gives_bytes_and_leaves_out_what_it_lacks(served: ServedModel) -> None:
    found = loaded(served).predict(pd.DataFrame({"image": [IMAGE, bytearray(IMAGE), None]}))
    assert found["label"].tolist() == ["light", "light", None]


def test_a_request_that_was_given_up_runs_no_further_pass(served: ServedModel) -> None:
    event = threading.Event()
    served.given_up = lambda: event
    network: Network = served.predictor
    network.at_each_pass = event.set
    with pytest.raises(MlflowException, match="the request was given up"):
        loaded(served).predict(pd.DataFrame({"image": [IMAGE] * 8}), params={"batch": 2})
    assert network.passes == 1
