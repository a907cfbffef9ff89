"""The documents only name what exists: commands, options, make targets, files, settings, links."""

import argparse
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from projects import ROOT
from ruamel.yaml import YAML

from headstart.cli.main import make_parser

README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
README_LINES = 130
WITH_CODE = ("src", "flows", "bin", "mlflow", "prefect.yaml", "Makefile")
BASES = ("", "src/headstart", "src/headstart/pipeline", "src/headstart/versions", "docs")
GENERATED = (
    "fixes.csv",
    "quarantine",  # made by stages, flows, servers or an installation
    "data",
    "data/*",
    "artifacts/*",
    "reports/*",
    "mlflow/mlflow.db*",
    "mlflow/artifacts*",
    "mlflow/basic_auth.*",
    "gate/comparison.html",
    "gate/gate.json",
    ".venv*",
    ".services*",
    ".dvc/config.local",
    "OUT.parts",
    "dist",
    "wheels",
    "headstart.lock.yaml",
    "record/settings.json",
    "refs/*",
    "HEADSTART_CACHE/*",
    "bench/results/*",
    ".ci/*.py",  # files of a project
    ".github/workflows/headstart.yaml",
    ".gitlab-ci.yml",
)
FILE = re.compile(
    r"\.?[\w-]+(?:/[\w.*-]+)*/?(?:\.(?:py|md|yaml|toml|json|csv|lock|dvc|html|parquet|npy|sh|j2))?"
)
SUFFIX = re.compile(r"\.(py|md|yaml|toml|csv|html|npy|sh|j2)$")


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def code_of(page: Path) -> list[str]:
    """Lines of code blocks and texts in backticks, without comments."""
    text = text_of(page)
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    plain = re.sub(r"^```\w*\n.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    lines = [line.split("#")[0] for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return lines + [found.replace("\n", " ") for found in re.findall(r"`([^`]+)`", plain)]


def spans_of(page: Path) -> list[str]:
    plain = re.sub(r"^```\w*\n.*?^```", "", text_of(page), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"`([^`\n]+)`", plain)


@cache
def commands() -> dict[str, argparse.ArgumentParser]:
    actions = make_parser()._actions
    found = next(action for action in actions if isinstance(action, argparse._SubParsersAction))
    return dict(found.choices)


def calls_of(page: Path) -> Iterator[tuple[str, list[str]]]:
    """Every `headstart COMMAND` on a page, with its options."""
    for line in code_of(page):
        for call in re.finditer(r"(?:^|bin/|run )headstart ([a-z][\w-]*)([^|;)]*)", line):
            yield call[1], re.findall(r"(?<![\w-])--[a-z][\w-]*", call[2])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_their_options_exist(page: Path) -> None:
    wrong = []
    for command, options in calls_of(page):
        parser = commands().get(command)
        known = parser._option_string_actions if parser else {}
        wrong += (
            [command] if parser is None else [f"{command} {name}" for name in options if name not in known]
        )
    assert wrong == []


def sections_of(page: Path) -> Iterator[list[str]]:
    """Lines of the code blocks of each section of a page, without prompts, comments and continued lines."""
    for section in re.split(r"^## ", text_of(page), flags=re.MULTILINE):
        blocks = re.findall(r"^```\w*\n(.*?)^```", section, flags=re.MULTILINE | re.DOTALL)
        yield [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]


def typed(page: Path, *programs: str) -> list[list[str]]:
    """Every command line in a code block that calls one of these programs, in words."""
    found = []
    for lines in sections_of(page):
        for line in lines:
            if not re.match(rf"(as_user )?(\S*\.venv/bin/)?({'|'.join(programs)}) ", line):
                continue
            words = shlex.split(re.split(r"[|;]|&&", line)[0], comments=True)
            words = [Path(word).name for word in words[:1]] + words[1:]
            found.append([Path(words[1]).name, *words[2:]] if words[0] == "as_user" else words)
    return found


def parses(parse: Callable[[list[str]], object], words: list[str]) -> bool:
    try:
        parse(words)
    except (SystemExit, Exception):
        return False
    return True


def prefect_parser() -> Callable[[list[str]], object]:
    from prefect.cli._app import _app

    def parse(words: list[str]) -> object:
        own = [word for word in words if word != "--no-prompt"]  # an option of prefect itself
        return _app.parse_args(own, exit_on_error=False, print_error=False)

    return parse


def dvc_parser() -> Callable[[list[str]], object]:
    from dvc.cli.parser import get_main_parser

    return get_main_parser().parse_args


PARSERS: dict[str, tuple[Callable[[], Callable[[list[str]], object]], list[str], list[str]]] = {
    "headstart": (lambda: make_parser().parse_args, ["show"], ["show", "--nothing"]),
    "dvc": (dvc_parser, ["repro"], ["repro", "--nothing"]),
    "prefect": (prefect_parser, ["deploy", "--all"], ["deploy", "--nothing"]),
}


@pytest.mark.parametrize("program", PARSERS)
def test_what_is_typed_is_understood(program: str) -> None:
    make, right, wrong = PARSERS[program]
    parse = make()
    assert parses(parse, right)
    assert not parses(parse, wrong)
    lines = [words for page in PAGES for words in typed(page, program)]
    assert lines
    assert [words for words in lines if not parses(parse, words[1:])] == []


def test_variables_given_to_make_are_its_own() -> None:
    makefile = text_of(ROOT / "Makefile")
    given = {
        word.partition("=")[0]
        for page in PAGES
        for words in typed(page, "make")
        for word in words[1:]
        if re.match(r"[A-Z]+=", word)
    }
    assert given
    assert [
        name for name in given if not re.search(rf"^{name} \?=|\$\({name}\)", makefile, re.MULTILINE)
    ] == []


def test_a_command_for_a_prefect_server_says_which() -> None:
    """`prefect` asks the server at PREFECT_API_URL; without it, one that has no deployment."""
    asks = re.compile(r"bin/prefect (--no-prompt )?(deploy|deployment|work-pool|automation)\b")
    silent = [
        (page.name, line)
        for page in PAGES
        for lines in sections_of(page)
        for number, line in enumerate(lines)
        if asks.search(line) and not any("PREFECT_API_URL=" in before for before in lines[: number + 1])
    ]
    assert silent == []


def test_every_command_is_in_the_documents() -> None:
    said = " ".join(span for page in PAGES for span in code_of(page))
    assert [name for name in commands() if not re.search(rf"\b{name}\b", said)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z][\w-]*):", text_of(ROOT / "Makefile"), flags=re.MULTILINE))
    named = {
        name
        for line in code_of(page)
        if "apt install" not in line
        for name in re.findall(r"(?:^|[ =])make (?!-)([a-z][\w-]*)", line)
    }
    assert named - targets == set()


def looks_like_a_path(span: str) -> bool:
    if not FILE.fullmatch(span) or re.fullmatch(r"[a-z]+/[a-z-]+", span):
        return False  # a deployment, such as training/nightly, is not a path
    return "/" in span or (not span.startswith(".") and bool(SUFFIX.search(span)))


def exists(path: str) -> bool:
    if any(fnmatch(path.rstrip("/"), pattern) for pattern in GENERATED):
        return True
    if "/" in path:
        return any((ROOT / base / path).exists() for base in BASES)
    return (ROOT / path).exists() or any((ROOT / "src").rglob(path)) or any((ROOT / "mlflow").glob(path))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_exist(page: Path) -> None:
    assert [span for span in spans_of(page) if looks_like_a_path(span) and not exists(span)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_keys_of_params_exist(page: Path) -> None:
    params: dict[str, dict[str, Any]] = YAML(typ="safe").load(ROOT / "params.yaml")
    sections = "|".join(params)
    named = {
        key for span in spans_of(page) for key in re.findall(rf"^((?:{sections})\.[a-z_]+)(?::|$)", span)
    }
    keys = [key.split(".") for key in named if not SUFFIX.search(key) and not key.endswith(".dvc")]
    assert [".".join(key) for key in keys if key[1] not in params[key[0]]] == []


def anchors_of(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", text_of(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    wrong = []
    for link in re.findall(r"\]\(([^)]+)\)", text_of(page)):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name) if name else page
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            wrong.append(link)
    assert wrong == []


def test_environment_variables_are_those_of_the_code() -> None:
    pattern = re.compile(r"\bHEADSTART_[A-Z]+(?:_[A-Z]+)*\b")
    own = ("git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *WITH_CODE)  # no databases
    listed = subprocess.run(own, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    texts = [(ROOT / name).read_text(encoding="utf-8") for name in listed if (ROOT / name).is_file()]
    used = {name for text in texts for name in pattern.findall(text)}
    documented = {name for page in PAGES for name in pattern.findall(text_of(page))}
    assert documented == used


def test_the_readme_is_a_first_screen_and_a_map() -> None:
    lines = text_of(README).splitlines()
    assert len(lines) <= README_LINES
    linked = set(re.findall(r"\]\(docs/([\w-]+\.md)", text_of(README)))
    assert linked == {page.name for page in PAGES if page != README}


def test_messages_refer_to_pages_that_exist() -> None:
    files = [
        ROOT / "params.yaml",
        ROOT / "dvc.yaml",
        *(ROOT / "src").rglob("*.py"),
        *(ROOT / "flows").glob("*.py"),
    ]
    named = {name for file in files for name in re.findall(r"\bdocs/[\w-]+\.md", text_of(file))}
    assert {name for name in named if not (ROOT / name).exists()} == set()
    assert [file.name for file in files if re.search(r"README (?:shows|says)|\(README,", text_of(file))] == []


def test_git_ignores_what_documented_commands_write() -> None:
    made = (
        "dvc_plots/index.html",
        "reports/x",
        "artifacts/x",
        "data/x",
        "mlflow/mlflow.db",
        ".services/x",
        ".venv/x",
    )
    done = subprocess.run(["git", "check-ignore", *made], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split() == list(made)
