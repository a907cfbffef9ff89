"""The size of a registered version on the tracking server, beside a backbone that is stored once.

Three versions: the first of a server, a second that trained another head, and a self-contained one.

    PYTHONPATH=tests/support .venv/bin/python bench/package.py
"""

import argparse
import os
import tempfile
from pathlib import Path

from machine import keep
from servers import servers
from workspace import Workspace, draw_photographs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw_photographs(folder / "photographs", chosen.images)
        project = Workspace.make(folder, folder / "photographs", **{"model.head": "linear"})
        project.set_params(**{"features.precision": "fp32"})
        with servers(folder / "servers") as environment:
            for title, params in (
                ("first version on the server", {"train.lr": 0.003}),
                ("next version, same backbone", {"train.lr": 0.002}),
                ("next version, same commit", None),
                ("register.package: full", {"train.lr": 0.001, "register.package": "full"}),
            ):
                rows.append(register(project, folder / "servers" / "artifacts", title, params, environment))
    keep("package", {"rows": rows}, chosen.out)


def register(
    project: Workspace,
    artifacts: Path,
    title: str,
    params: dict[str, object] | None,
    environment: dict[str, str],
) -> dict[str, object]:
    """Change a parameter, run what it touches, register, and weigh what the server holds more."""
    if params is None:
        project.set_params(**{"train.seed": 1})
    else:
        project.set_params(**params)
    project.dvc("repro")
    if params is not None:
        project.commit()
    before = weigh(artifacts)
    tracking = {"MLFLOW_TRACKING_URI": environment["MLFLOW_TRACKING_URI"]}
    seconds = project.run(str(project.root / "bin" / "headstart"), "register", **tracking)
    head = (project.root / "artifacts" / "head.safetensors").stat().st_size
    row = {
        "version": title,
        "trained_tensors_bytes": head,
        "stored_bytes": weigh(artifacts) - before,
        "beside_the_head_bytes": weigh(artifacts) - before - head,
        "register_s": seconds,
    }
    print(row, flush=True)
    return row


def weigh(folder: Path) -> int:
    return sum((Path(at) / name).stat().st_size for at, _, names in os.walk(folder) for name in names)


if __name__ == "__main__":
    main()
