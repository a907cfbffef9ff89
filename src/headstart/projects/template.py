"""The files that a project begins with: most are this repository's own, which the build packs."""

import re
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from headstart import __version__
from headstart.errors import HeadstartError
from headstart.ground.paths import PACKAGE
from headstart.projects import pins

OWN = Path(__file__).parent / "template"
REPOSITORY = PACKAGE.parent.parent  # of the code that runs from a clone
SHARED = (
    ".dockerignore",
    ".dvc/plots/roc.json",
    "Dockerfile",
    "automations.yaml",
    "bin/headstart",
    "compose.yaml",
    "dvc.yaml",
    "flows/monitoring.py",
    "flows/promotion.py",
    "flows/scoring.py",
    "flows/stage.py",
    "flows/training.py",
    "mlflow/basic_auth.ini.example",
    "mlflow/serve-model",
    "mlflow/serve-ui",
    "mlflow/server.env",
    "mlflow/settings.sh",
    "params.yaml",
    "prefect.yaml",
)
DATA, LOCK = "data.dvc", "requirements.lock"
PROGRAMS = frozenset({"bin/headstart", "mlflow/serve-model", "mlflow/serve-ui"})
SCRIPTS = {".ci/comment.py": "ci/comment.py", ".ci/summary.py": "ci/summary.py"}
CI = {
    "github": {".github/workflows/headstart.yaml": "ci/github.yaml", **SCRIPTS},
    "gitlab": {".gitlab-ci.yml": "ci/gitlab.yaml", **SCRIPTS},
}
WORKFLOWS = {kind: next(iter(files)) for kind, files in CI.items()}  # the file that one of them has alone
IMAGE = "image: python:3.12"
BASE = "BASE=python:3.12"  # of the Dockerfile
# people write in these: they are never written again; params.yaml gets keys that it lacks
KEPT = frozenset(
    {
        ".dvc/.gitignore",
        ".dvcignore",
        ".gitattributes",
        "README.md",
        ".gitignore",
        ".dvc/config",
        "params.yaml",
        "tests/test_data.py",
        "tests/test_model.py",
    }
)
PIPELINE = """\
# The only definition of the stages: `dvc repro` runs them, and so does the Prefect flow. Each depends on the
# code and libraries that it runs by its entry in headstart.lock.yaml, which `headstart upgrade` writes.
"""


def files(name: str, ci: Sequence[str] = ()) -> dict[str, str]:
    """The text of every file that a project begins with, by its path there.

    Args:
        name: of the project.
        ci: whose workflows are among them: `github`, `gitlab`.
    """
    shared = {path: text_of(path).replace(BASE, f"BASE=python:{pins.python()}") for path in SHARED}
    values = {"name": name, "mark": secrets.token_hex(3)}
    own = {
        ".dvc/config": _filled("dvcconfig.j2", values),
        ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n",
        ".dvcignore": "# Patterns of files that DVC ignores: https://dvc.org/doc/user-guide/dvcignore\n__pycache__/\n/kept/\n",
        ".gitattributes": "* text=auto eol=lf\n",
        ".gitignore": text_of("gitignore"),
        "Makefile": text_of("Makefile"),
        "README.md": _filled("README.md.j2", values),
        "tests/test_data.py": text_of("tests/test_data.py"),
        "tests/test_model.py": text_of("tests/test_model.py"),
    }
    sources = {path: source for kind in ci for path, source in CI[kind].items()}
    workflow = {
        path: text_of(source).replace(IMAGE, f"image: python:{pins.python()}")
        for path, source in sources.items()
    }
    return {**shared, **own, **workflow, "dvc.yaml": pipeline(shared["dvc.yaml"]), **environment(name)}


def environment(name: str) -> dict[str, str]:
    """The files that pin what is installed: all packages, and those that Headstart itself requires."""
    installed = pins.installed()
    extras = f"[{','.join(sorted(pins.extras()))}]" if pins.extras() else ""
    exact = [
        f"{pins.PACKAGE}{extras}=={__version__}",
        *(f"{each}=={installed[each]}" for each in sorted(pins.required())),
    ]
    values = {"name": name, "python": pins.python(), "pins": exact}
    return {
        "pyproject.toml": _filled("pyproject.toml.j2", values),
        LOCK: pins.lock(installed, text_of(LOCK)),
    }


def text_of(name: str) -> str:
    """The text of a file of the template."""
    for path in (OWN / name, REPOSITORY / name):
        if path.is_file():
            return path.read_text(encoding="utf-8")
    raise HeadstartError(
        f"the package lacks projects/template/{name}: install headstart again, from its wheel"
    )


def _filled(name: str, values: Mapping[str, object]) -> str:
    environment = Environment(trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    return environment.from_string(text_of(name)).render(values) + "\n"


def pipeline(text: str) -> str:
    """dvc.yaml of a project, from that of this repository: each stage depends on its entry of the lock.

    Dependencies on code and on requirements.lock are left out.
    """
    lines, stage = [PIPELINE.rstrip("\n")], ""
    body = text[text.index("stages:\n") :]
    for line in re.sub(r"(?m)^      - (?:src/.*|requirements\.lock)\n", "", body).splitlines():
        if named := re.fullmatch(r"  (\w+):", line):
            stage = named[1]
        lines.append(line)
        if line == "    params:":
            lines += ["      - headstart.lock.yaml:", f"          - stages.{stage}"]
    return re.sub(r"(?m)^    deps:\n(?!      )", "", "\n".join(lines) + "\n")


def is_program(name: str) -> bool:
    """Whether a file of the template is run by its name."""
    return name in PROGRAMS


def rewritten(texts: Mapping[str, str]) -> dict[str, str]:
    """Those of some files that an upgrade writes again, unless they were edited."""
    return {name: text for name, text in texts.items() if name not in KEPT}
