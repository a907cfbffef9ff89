"""/predict and /invocations: every form of a request gets the same answers, a bad image its own error."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from served import IMAGE, TEXT
from served_http import MODEL, Server, form, network_of

from headstart.versions.serving.http.settings import Settings

JSON = "application/json"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("HEADSTART_PATHS", str(tmp_path / "allowed"))
    (tmp_path / "allowed").mkdir()
    with Server(Settings(max_images=8)).running() as server:
        yield server


def listed(*images: object) -> bytes:
    return json.dumps({"images": images}).encode()


def labels(document: Any) -> list[str | None]:
    return [row["label"] for row in document["answers"]]


def test_each_answer_names_its_image_and_version(server: Server) -> None:
    status, found, headers = server.post("/predict", *form(("a.png", IMAGE), ("b.png", b"no image")))
    assert status == 200
    assert {key: found[key] for key in ("model", "model_version")} == {
        "model": MODEL,
        "model_version": "models:/m/1",
    }
    good, bad = found["answers"]
    request = headers["X-Request-Id"]
    assert [good.pop("id"), bad.pop("id")] == [f"{request}:0", f"{request}:1"]
    assert good == {
        "name": "a.png",
        "label": "light",
        "probabilities": {"dark": 0.25, "light": 0.75},
        "model_version": "models:/m/1",
        "error": None,
    }
    assert bad["name"] == "b.png"
    assert (bad["label"], bad["probabilities"], bad["error"]) == (None, None, "cannot be decoded")


def test_one_image_is_the_body(server: Server) -> None:
    for kind in ("image/png", "image/jpeg; x=1", "application/octet-stream"):
        assert labels(server.post("/predict", IMAGE, kind)[1]) == ["light"]


def test_a_list_holds_images_and_paths(server: Server, tmp_path: Path) -> None:
    inside, outside = tmp_path / "allowed/a.png", tmp_path / "b.png"
    inside.write_bytes(IMAGE)
    outside.write_bytes(IMAGE)
    body = listed(
        {"base64": TEXT, "name": "first"},
        {"data_uri": f"data:image/png;base64,{TEXT}"},
        {"path": str(inside)},
        {"path": str(outside)},
    )
    _, found, _ = server.post("/predict", body, JSON)
    assert labels(found) == ["light", "light", "light", None]
    assert [row["name"] for row in found["answers"]] == ["first", None, str(inside), str(outside)]
    assert "is not below a place that HEADSTART_PATHS allows" in found["answers"][3]["error"]


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (5, "this one has none"),
        ({}, "this one has none"),
        ({"base64": TEXT, "path": "a"}, "this one has base64 and path"),
        ({"base64": None}, "no image"),
        ({"base64": "!!"}, "not Base64"),
        ({"data_uri": TEXT}, "not a data URI in Base64"),
        ({"data_uri": "data:image/png,abc"}, "not a data URI in Base64"),
        ({"path": "\ud800"}, "not UTF-8"),
        ({"path": 5}, "no path"),
    ],
)
def test_a_bad_item_has_its_own_error(server: Server, item: object, reason: str) -> None:
    status, found, _ = server.post("/predict", listed({"base64": TEXT}, item, {"base64": TEXT}), JSON)
    assert (status, labels(found)) == (200, ["light", None, "light"])
    assert reason in found["answers"][1]["error"]


@pytest.mark.parametrize(
    ("body", "kind", "status", "reason"),
    [
        (b"{", JSON, 400, "is not JSON"),
        (b"[" * 200_000, JSON, 400, "nested too deeply"),
        (b"[]", JSON, 400, "other keys than `images`"),
        (b'{"images": 1}', JSON, 400, "is not a list"),
        (listed(*[{"base64": TEXT}] * 9), JSON, 400, "9 images, expected at most 8"),
        (*form(), 400, "holds no file"),
        (*form(*[("a", IMAGE)] * 9), 400, "more files than 8"),
        (b"x", "multipart/form-data", 400, "boundary"),
        (form(("a", IMAGE))[0][:-6], form()[1], 400, "the form is cut off"),
        (b'{"images": [' + b"{}," * 1500 + b"{}]}", JSON, 400, "holds more than 8 images"),
        (
            b'--e\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n--e--\r\n',
            "multipart/form-data; boundary=e",
            400,
            "'a' is a text, not a file",
        ),
        (b"x", "text/plain", 415, "content type is text/plain; expected multipart/form-data"),
        (b"x" * ((1 << 26) + 1), "image/png", 413, "at most 67108864 bytes"),
    ],
)
def test_a_bad_request_gets_a_reason(
    server: Server, body: bytes, kind: str, status: int, reason: str
) -> None:
    found, said, _ = server.post("/predict", body, kind)
    assert found == status
    assert reason in (said if isinstance(said, str) else said["message"])


@pytest.mark.parametrize(
    "document",
    [
        {"dataframe_split": {"columns": ["image"], "data": [[TEXT], ["!!"], [TEXT]]}},
        {"dataframe_split": {"columns": ["image"], "data": [[TEXT], ["\ud800"], [TEXT]]}},
        {"dataframe_records": [{"image": TEXT}, {"image": "\udfff"}, {"image": TEXT}]},
        {"dataframe_records": [{"image": TEXT}, {}, {"image": TEXT}]},
        {"instances": [{"image": TEXT}, {}, {"image": TEXT}]},
        {"inputs": {"image": [TEXT, None, TEXT]}},
        {"inputs": [{"image": TEXT}, {}, {"image": TEXT}]},
        f"image\n{TEXT}\n!!\n{TEXT}\n",
    ],
    ids=["split", "split half", "records half", "records", "instances", "columns", "rows", "csv"],
)
def test_a_bad_row_of_mlflows_forms_has_its_own_error(server: Server, document: object) -> None:
    is_csv = isinstance(document, str)
    body = document if is_csv else json.dumps(document)
    assert isinstance(body, str)
    status, found, _ = server.post("/invocations", body.encode(), "text/csv" if is_csv else JSON)
    assert status == 200
    assert [row["label"] for row in found["predictions"]] == ["light", None, "light"]
    assert set(found["predictions"][0]) == {"label", "probabilities", "model_version", "error"}


@pytest.mark.parametrize(
    ("body", "kind", "reason"),
    [
        (b'{"instances": [' + b"0," * 1500 + b"0]}", JSON, "holds more than 8 images"),
        (b"image\n" + b"a," * 1500 + b"\n", "text/csv", "holds more than 8 images"),
        (b"image\n" + b"a\n" * 9, "text/csv", "more than 8 rows"),
        (b'{"dataframe_split": {"columns": [{}], "data": [["a"]]}}', JSON, "cannot be read"),
        (b"1" * 5000, JSON, "cannot be read"),
    ],
)
def test_what_mlflow_would_build_or_fail_at_is_refused(
    server: Server, body: bytes, kind: str, reason: str
) -> None:
    status, said, _ = server.post("/invocations", body, kind)
    assert (status, reason in said["message"]) == (400, True)


@pytest.mark.parametrize("forms", ["instances", "dataframe_records"])
def test_a_fault_of_the_version_is_one_of_the_server(server: Server, forms: str) -> None:
    def fail() -> None:
        raise RuntimeError("/secret/folder: out of memory")

    network_of(server).at_each_pass = fail
    status, said, _ = server.post("/invocations", json.dumps({forms: [{"image": TEXT}]}).encode(), JSON)
    assert (status, said["error_code"]) == (500, "INTERNAL_ERROR")
    assert said["message"] == "the version failed; the server's log has the reason"


def test_both_doors_bound_the_images_of_a_request(server: Server) -> None:
    status, said, _ = server.post(
        "/invocations", json.dumps({"instances": [{"image": TEXT}] * 9}).encode(), JSON
    )
    assert (status, "9 images, expected at most 8" in said["message"]) == (400, True)


def test_a_refused_image_keeps_its_probabilities(server: Server) -> None:
    network = network_of(server)
    network.refused = "refused: not sure"
    server.live.swap(server.version(2, network))
    [row] = server.image()[1]["answers"]
    assert (row["label"], row["error"]) == (None, "refused: not sure")
    assert row["probabilities"] == {"dark": 0.25, "light": 0.75}
    assert server.figure('headstart_images_total{outcome="refused"}') == 1


def test_the_description_names_every_form_and_answer(server: Server) -> None:
    document = server.get("/openapi.json")[1]
    forms = document["paths"]["/predict"]["post"]["requestBody"]["content"]
    assert set(forms) == {"multipart/form-data", "image/*", "application/octet-stream", JSON}
    for example in forms[JSON]["examples"].values():
        assert server.post("/predict", json.dumps(example["value"]).encode(), JSON)[0] == 200
    mlflow = document["paths"]["/invocations"]["post"]["requestBody"]["content"]
    for example in mlflow[JSON]["examples"].values():
        assert server.post("/invocations", json.dumps(example["value"]).encode(), JSON)[0] == 200
    assert server.post("/invocations", mlflow["text/csv"]["example"].encode(), "text/csv")[0] == 200
    [row] = server.image()[1]["answers"]
    assert set(document["components"]["schemas"]["IdentifiedAnswer"]["properties"]) == set(row)
