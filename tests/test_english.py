"""Prose reads like a colleague's: turns of phrase that a translation leaves behind are refused."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from projects import ROOT

CODE = ("src", "flows", "bench", "tests")
PAGES = (
    "README.md",
    "CHANGELOG.md",
    "docs/*.md",
    "docs/systemd/*",
    "params.yaml",
    "dvc.yaml",
    "prefect.yaml",
    "automations.yaml",
    "Makefile",
    "mlflow/*",
    "src/headstart/**/*.j2",
)
COUNTED = (
    r"(?:row|line|file|step|column|subfolder|task|worker|automation|section|command|learning rate|dropout)"
)
EACH = (
    r"(?:image|file|class|epoch|stage|trial|entry|layer|request|row|pattern|path|flow|version|format|group)"
)
REFUSED = {
    r"(?i)\b(?:a|one) (?:[\w-]+ )?"
    + COUNTED
    + rf" an? (?:\w+ )?{EACH}\b": "a row an image -> one row per image",
    rf"(?i)\b(?:images|numbers|categories|loss|accuracy) an? (?:second|{EACH})\b": "loss an epoch -> per",
    r"\b[Tt]old\b(?! apart| from the)": "told -> reported, notified, given",
    r"\b[Tt]ells?\b(?! apart| \w+ apart| \w+ from)": "tells -> reports, shows, notifies",
    r"\b(?:goes|go|went) on (?:where|at|from|with)\b": "goes on -> resumes, continues",
    r"(?<![Tt]here )\b(?:is|are|was|were) no (?:[A-Z]\w+|image|number|kind|path)\b": "is no X -> is not",
    r"\b[Ww]here (?:there (?:is|are|was)|nothing|no one|it is null)\b": "where -> if",
    r"\b(?:says?|said|speaks?) of\b": "says of -> reports about, predicts for",
    r"\bpassed over\b": "passed over -> ignored",
    r"^[Hh]ave (?:a|an|the) ": "have X done -> do X, fetch X",
}
OPENINGS = {
    r"What ": "a docstring opens with a verb or a noun",
    r"Have ": "Have X done -> do X",
}


def documents() -> Iterator[Path]:
    for pattern in PAGES:
        found = (path for path in ROOT.glob(pattern) if path.is_file())
        yield from sorted(path for path in found if not path.name.startswith("mlflow."))  # MLflow's database


def modules() -> Iterator[Path]:
    for folder in CODE:
        yield from sorted((ROOT / folder).rglob("*.py"))


def docstrings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield getattr(node, "lineno", 1), text


def messages(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Texts of three words or more: docstrings, help, errors, log lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.count(" ") > 1:
            yield node.lineno, node.value


def found_in(path: Path) -> Iterator[str]:
    """Every refused phrase of a file."""
    name = path.relative_to(ROOT).as_posix()
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        yield from (f"{name}: {finding}" for finding in findings(prose_of(text)))
        return
    tree = ast.parse(text)
    pieces = {*messages(tree), *comments(text)}
    for line, piece in sorted(pieces):
        yield from (f"{name}:{line}: {finding}" for finding in findings(piece))
    for line, piece in sorted(docstrings(tree)):
        for pattern, better in OPENINGS.items():
            if re.match(pattern, piece):
                yield f"{name}:{line}: {piece.splitlines()[0][:60]!r}: {better}"


def prose_of(page: str) -> str:
    """A page without its blocks of code, which hold what programs print."""
    return re.sub(r"^```\w*\n.*?^```", "", page, flags=re.MULTILINE | re.DOTALL)


def comments(source: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(source.splitlines(), 1):
        if found := re.search(r"(?:^|\s)# (.+)$", line):
            yield number, found[1]


def findings(text: str) -> Iterator[str]:
    plain = " ".join(text.split())
    for pattern, better in REFUSED.items():
        for found in re.finditer(pattern, plain):
            yield f"{plain[max(0, found.start() - 20) : found.end() + 20]!r}: {better}"


@pytest.mark.parametrize("path", [*documents()], ids=lambda path: path.relative_to(ROOT).as_posix())
def test_documents_are_written_in_plain_english(path: Path) -> None:
    assert list(found_in(path)) == []


@pytest.mark.parametrize("folder", CODE)
def test_code_is_documented_in_plain_english(folder: str) -> None:
    own = Path(__file__).resolve()
    paths = [path for path in modules() if path.is_relative_to(ROOT / folder) and path != own]
    assert [finding for path in paths for finding in found_in(path)] == []
