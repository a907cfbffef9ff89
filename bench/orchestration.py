"""Where the time of the demo's flow goes: the stages' own time, and what is around them.

PYTHONPATH=tests/support .venv/bin/python bench/orchestration.py
"""

import argparse
import sqlite3
import tempfile
import time
from datetime import datetime
from pathlib import Path

from machine import keep
from servers import servers
from workspace import Workspace

from headstart.sources.sample import draw_sample


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw_sample(folder / "sample")
        for title in ("its own temporary server", "a running server"):
            place = folder / title.replace(" ", "-")
            place.mkdir()
            project = Workspace.make(place, folder / "sample")
            if title == "a running server":
                with servers(place / "servers") as environment:
                    rows.append(measure(project, title, place / "servers" / "prefect", environment))
            else:
                rows.append(measure(project, title, place / "prefect", {}))
    keep("orchestration", {"rows": rows}, chosen.out)


def measure(project: Workspace, title: str, home: Path, environment: dict[str, str]) -> dict[str, object]:
    """One run of the flow from nothing."""
    started = time.time()
    wall = project.flow(**environment)
    ended = started + wall
    stages = sum(stage["wall_s"] for stage in project.stages())
    with sqlite3.connect(home / "prefect.db") as database:
        tasks = {
            name: (_seconds(start), _seconds(end))
            for name, start, end in database.execute(
                "SELECT name, start_time, end_time FROM task_run WHERE start_time IS NOT NULL"
            )
        }
        [(flow_start, flow_end)] = database.execute("SELECT start_time, end_time FROM flow_run").fetchall()
    lengths = {name.rsplit("-", 1)[0]: end - start for name, (start, end) in tasks.items()}
    walked = sum(length for name, length in lengths.items() if name in STAGES)
    registration = lengths["register_model"]
    begin, finish = _seconds(flow_start) - started, ended - _seconds(flow_end)
    parts = {
        "stages_s": stages,
        "dvc_s": walked - stages,
        "registration_s": registration,
        "start_s": begin,
        "end_s": finish,
        "rest_s": wall - walked - registration - begin - finish,
    }
    around = wall - stages
    row = {
        "server": title,
        "wall_s": wall,
        **parts,
        "around_the_stages": around / wall,
        "without_registration": (around - registration) / wall,
        "tasks": lengths,
    }
    print(row, flush=True)
    return row


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text + "+00:00" if "+" not in text else text).timestamp()


STAGES = {"data.dvc", "backbone", "validate", "preprocess", "features", "inspect", "train", "evaluate"}


if __name__ == "__main__":
    main()
