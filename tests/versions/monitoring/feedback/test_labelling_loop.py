"""The loop: a server keeps its answers, images are picked and labelled, the source brings them to data/."""

import csv
import json
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from processes import end
from projects import draw_images, edit_params, headstart, result_of
from served_http import form
from templates import make_registered

from headstart.sources.ingestion import bring

pytestmark = pytest.mark.server  # a registered version and a server


def test_answers_come_back_as_training_images(tmp_path: Path) -> None:
    root, new, source = tmp_path / "project", tmp_path / "new", tmp_path / "source"
    make_registered(root)
    shutil.copytree(root / "data", source)
    edit_params(root, **{"data.source": str(source), "serve.keep": 1.0, "data.settle_seconds": 0})
    draw_images(new, {"dark": 12, "light": 12}, seed=5)
    truth = _served(root, sorted(new.rglob("*.png")))

    picked = result_of(root, "feedback", "--pick", "to-label", "--count", "6", "--random", "4")
    assert sorted(picked["why"].values()) == ["random"] * 4 + ["uncertain"] * 3 + ["unlike"] * 3
    table = root / "to-label/labels.csv"
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["id"] for row in rows} == set(picked["why"])
    with table.open("w", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(["id", "path", "label"])
        writer.writerows([row["id"], row["path"], truth[row["id"]]] for row in rows)

    found = result_of(root, "feedback", "to-label/labels.csv", "--into", status=0)
    assert found["labels"] == {"labels": 10, "changed": 0, "unlabelled": 0, "repeated": 0, "unknown": []}
    [version] = found["versions"]
    counts = ("images", "labelled", "picked", "picked_labelled")
    assert [version[name] for name in counts] == [24, 10, 6, 6]
    assert version["accuracy"]["images"] == 10
    assert version["test"]["images"] > 0
    assert version["estimate"]["images"] == 24
    assert len(found["added"]["new"]) == 10

    brought = bring(str(source), root / "data", 0, 0.5)
    assert sorted(brought.new) == sorted(found["added"]["new"])
    by_class = {path.parent.name for path in (root / "data").rglob("feedback-*")}
    assert by_class == {truth[row["id"]] for row in rows}
    originals = {path.read_bytes() for path in new.rglob("*.png")}
    assert all(path.read_bytes() in originals for path in (root / "data").rglob("feedback-*"))

    again = result_of(root, "feedback", "to-label/labels.csv", "--into")
    assert (again["added"]["new"], again["added"]["there"]) == ([], 10)
    rest = result_of(root, "feedback", "--pick", "more", "--count", "30")
    assert not set(rest["why"]) & set(picked["why"])
    assert "is not an empty folder" in headstart(root, "feedback", "--pick", "more", status=1)
    assert "Accuracy in production" in (root / "reports/feedback.html").read_text()


def _served(root: Path, files: list[Path]) -> dict[str, str]:
    """The true class of each image that a server answered, by the id of the answer."""
    command = [sys.executable, "-m", "headstart", "serve", "--port", "0", "--json"]
    server = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert server.stdout is not None
        text = ""
        while not text.endswith("}\n"):
            line = server.stdout.readline()
            assert line, text
            text += line
        body, kind = form(*((path.name, path.read_bytes()) for path in files))
        address = json.loads(text)["address"]
        request = urllib.request.Request(f"{address}/predict", body, {"Content-Type": kind})
        with urllib.request.urlopen(request, timeout=120) as answer:
            answers: list[dict[str, Any]] = json.load(answer)["answers"]
    finally:
        end(server, 30)
    _wait_until_kept(root, len(files))
    return {each["id"]: path.parent.name for each, path in zip(answers, files, strict=True)}


def _wait_until_kept(root: Path, count: int) -> None:
    from headstart.versions.serving.kept.store import KeptStore

    until = time.monotonic() + 30
    while time.monotonic() < until:
        with KeptStore(root / "kept") as store:
            if len(list(store.read())) == count:
                return
        time.sleep(0.2)
    raise AssertionError(f"{count} answers were never kept in {root}")
