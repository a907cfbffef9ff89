"""Classify images with a stored model and the code packed with it; run as a script.

It imports nothing from this tree's Headstart, so that the model's own code answers. Its argument is the
model's folder. It first prints {"code": FOLDER}; then, for each input line {"paths": [...], "batch": N}, it
prints a line {"rows": [[label, probabilities, error], ...]} or {"failed": TEXT}. It exits when its input
ends.
"""

import json
import os
import queue
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import pandas as pd


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # keep what libraries print out of the answers
    requests: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    model = mlflow.pyfunc.load_model(sys.argv[1])
    knows_paths = "path" in model.metadata.get_input_schema().input_names()
    code = os.path.dirname(sys.modules["headstart"].__file__ or "")  # noqa: PTH120
    _say(answers, {"code": code})
    while True:
        _say(answers, _answer(model, knows_paths, json.loads(requests.get())))


def _answer(model: Any, knows_paths: bool, request: dict[str, Any]) -> dict[str, Any]:
    if not knows_paths:
        return {"rows": [_of_bytes(model, path) for path in request["paths"]]}
    try:
        found = model.predict(pd.DataFrame({"path": request["paths"]}), params={"batch": request["batch"]})
    except Exception as error:
        return {"failed": _told(error)}
    return {"rows": found[["label", "probabilities", "error"]].values.tolist()}


def _of_bytes(model: Any, path: str) -> Sequence[Any]:
    """Ask a version older than the column `path` one image at a time: a bad one fails its whole request."""
    try:
        if not Path(path).is_file():  # reading a pipe or device might never end
            return None, None, f"there is no file {path}"
        found = model.predict(pd.DataFrame({"image": [Path(path).read_bytes()]}))
    except Exception as error:
        return None, None, _told(error)
    return found["label"].iloc[0], found["probabilities"].iloc[0], None


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _listen(requests: "queue.Queue[str]") -> None:
    for line in sys.stdin:
        requests.put(line)
    os._exit(0)  # the caller is gone or has all its answers


def _say(answers: Any, value: object) -> None:
    print(json.dumps(value), file=answers, flush=True)


if __name__ == "__main__":
    main()
