"""Projects that the benchmarks measure: a copy of this tree, photographs drawn for it, and stage times."""

import json
import os
import shutil
import stat
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from ruamel.yaml import YAML

from headstart.sources.sample import LABELS, draw_image

ROOT = Path(__file__).resolve().parent.parent
SIZE = (500, 375)  # pixels, of a photograph of the usual data sets
GIT = ("git", "-c", "user.name=bench", "-c", "user.email=bench@example.org")
METER = """#!{python}
import json, os, sys, time
start = time.perf_counter()
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, used = os.wait4(child, 0)
wall_s = time.perf_counter() - start
with open({log!r}, "a") as log:
    record = {{"command": sys.argv[4], "wall_s": wall_s, "peak_mb": used.ru_maxrss / 1024}}
    record["cpu_s"] = used.ru_utime + used.ru_stime
    log.write(json.dumps(record) + "\\n")
sys.exit(os.waitstatus_to_exitcode(status))
"""


def draw_photographs(folder: Path, count: int, first: int = 0) -> None:
    """`count` JPEG files of 500 x 375 pixels in two classes of the sample: about 30 KB each."""
    per_class = [range(first, first + count - count // 2), range(first, first + count // 2)]
    work = [(folder, label, i) for label, part in zip(LABELS, per_class, strict=True) for i in part]
    for label in LABELS:
        (folder / label).mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor() as pool:
        list(pool.map(_draw, work, chunksize=50))


def _draw(item: tuple[Path, str, int]) -> None:
    folder, label, index = item
    picture = draw_image(label, index).resize(SIZE, Image.Resampling.BICUBIC)
    picture.save(folder / label / f"{index:06d}.jpg", quality=90)


@dataclass(frozen=True)
class Workspace:
    """A project of its own under `root`, with caches of its own beside it."""

    root: Path

    @property
    def environment(self) -> dict[str, str]:
        apart = {"PYTHONPATH", "MLFLOW_TRACKING_URI", "VIRTUAL_ENV"}
        kept = {name: value for name, value in os.environ.items() if name not in apart}
        return {
            **kept,
            "HEADSTART_CACHE": str(self.root.parent / "store"),
            "HEADSTART_PYTHON": sys.executable,
            "PREFECT_HOME": str(self.root.parent / "prefect"),
        }

    @property
    def _meter(self) -> Path:
        return self.root.parent / "meter"

    @property
    def _log(self) -> Path:
        return self.root.parent / "stages.jsonl"

    @classmethod
    def make(cls, folder: Path, images: Path, **params: object) -> "Workspace":
        """Copy the tree as it stands, take the images for its data, set parameters, and commit."""
        made = cls(folder / "project")
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        ).stdout.decode()
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).exists() and name not in {"dvc.lock", "data.dvc"}:
                (made.root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, made.root / name)
        shutil.copytree(images, made.root / "data")
        made._meter.write_text(METER.format(python=sys.executable, log=str(made._log)))
        made._meter.chmod(made._meter.stat().st_mode | stat.S_IXUSR)
        script = made.root / "bin" / "headstart"
        script.write_text(script.read_text().replace(' exec "$', f" exec '{made._meter}' \"$"))
        made.set_params(**params)
        made.run("git", "init", "--quiet", "--initial-branch=main")
        made.dvc("remote", "modify", "local", "url", str(folder / "remote"))
        made.dvc("add", "--quiet", "data")
        made.commit()
        return made

    def set_params(self, **changes: object) -> None:
        """Set keys of params.yaml, named by their dotted path."""
        yaml = YAML()
        document = yaml.load(self.root / "params.yaml")
        for key, value in changes.items():
            section, name = key.split(".")
            document[section][name] = value
        yaml.dump(document, self.root / "params.yaml")

    def commit(self) -> None:
        self.run("git", "add", "--all")
        self.run(*GIT, "commit", "--quiet", "--allow-empty", "--message", "state")

    def dvc(self, *arguments: str) -> float:
        return self.run(sys.executable, "-m", "dvc", *arguments)

    def flow(self, **environment: str) -> float:
        """The training flow as a deployment would run it: `python flows/training.py`."""
        extra = {"PYTHONPATH": f"{self.root / 'src'}:{self.root}", **environment}
        return self.run(sys.executable, "flows/training.py", **extra)

    def run(self, *command: str, **environment: str) -> float:
        """Run a command in the project and return its wall time in seconds."""
        start = time.perf_counter()
        done = subprocess.run(
            command,
            cwd=self.root,
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode:
            sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-4000:]}")
        return time.perf_counter() - start

    def stages(self) -> list[dict[str, Any]]:
        """Commands run since the last call: command, wall_s, cpu_s, peak_mb."""
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        self._log.unlink(missing_ok=True)
        return [json.loads(line) for line in lines]
