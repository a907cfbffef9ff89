"""Render Data Docs from reports/validation.json; needs no network and no second validation."""

import html
import tempfile
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from great_expectations.core.expectation_validation_result import (
    ExpectationSuiteValidationResult,
    ExpectationValidationResult,
)
from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
from great_expectations.render.view.view import DefaultJinjaPageView
from jinja2 import ChoiceLoader, DictLoader, Environment
from markupsafe import Markup

from headstart.errors import DataError
from headstart.ground import paths
from headstart.ground.settings import SPLITS
from headstart.pipeline.data.shown import jpeg_of
from headstart.pipeline.pages.html import data_uri

Row = dict[str, Any]

SIDE = 96  # pixels of the longer side of a picture
KEYS = ("success", "files", "kept", "excluded", "problems", "classes", "suites")

HEAD = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title|e }}</title><style>{{ css }}</style></head><body><main>
"""

INDEX = (
    HEAD
    + """
<h1>{{ title }}</h1>
<p class="sub">{{ kept }} of {{ files }} files kept, {{ files - kept }} left out,
  {{ classes|length }} classes</p>
<section class="panel verdict{{ '' if success else ' failed' }}">
{% if success %}<strong>&#10003; Passed{% if kept < files %},
  {{ files - kept }} of {{ files }} files left out{% endif %}</strong>
<p>The set can be trained on.{% if unmet %}
  {{ unmet }} of {{ checks }} expectations {{ "is" if unmet == 1 else "are" }} not met,
  which leaves out files or is a warning, and blocks nothing.{% endif %}</p>
{% else %}<strong>&#10007; Blocked</strong>
<p>Fix before training:</p>
<ol>{% for problem in problems %}<li>{{ problem }}</li>{% endfor %}</ol>{% endif %}
</section>
<section class="panel"><h2>Images of each class</h2>
<div class="scroll"><table class="classes"><thead><tr><th>Class</th>
{% for split in splits %}<th class="number"><span class="key {{ split }}"></span>{{ split }}</th>
{% endfor %}<th class="number">all</th><th class="bars"></th></tr></thead><tbody>
{% for label, counts in classes.items() %}<tr><td>{{ label }}</td>
{% for split in splits %}<td class="number">{{ counts[split] }}</td>{% endfor %}
<td class="number">{{ counts.values()|sum }}</td><td class="bars"><div class="bar">
{% for split in splits %}<span class="{{ split }}"
  style="width:{{ '%.2f'|format(100 * counts[split] / largest) }}%"></span>{% endfor %}
</div></td></tr>{% endfor %}
</tbody></table></div></section>
<section class="panel"><h2>Files left out</h2>
{% if excluded %}<table class="files"><thead><tr><th>File</th><th>Reason</th></tr></thead><tbody>
{% for file in excluded %}<tr><td>
{% if loop.index0 in thumbnails %}<img src="{{ thumbnails[loop.index0] }}" alt="">{% endif %}
{{ file.path }}</td><td>{{ file.reason }}</td></tr>{% endfor %}
</tbody></table>
{% if more %}<p>and {{ more }} more, all in artifacts/manifest.parquet</p>{% endif %}
{% else %}<p>None.</p>{% endif %}</section>
<section class="panel"><h2>Expectations</h2>
<ul>{% for suite in suites %}<li><a href="{{ suite.page }}">{{ suite.title }}</a>:
  {{ suite.met }} of {{ suite.all }} met
  {%- if suite.met < suite.all %}; {{ suite.note }}{% endif %}</li>{% endfor %}</ul></section>
</main></body></html>
"""
)

SUITE_PAGE = (
    HEAD
    + """
<p><a href="index.html">&#8592; Data validation</a></p>
<h1>{{ title|e }}</h1><p class="sub">{{ note|e }}</p>
{% for section in sections %}{% set section_loop = loop %}{% include 'section.j2' %}{% endfor %}
</main></body></html>
"""
)

TITLES = {
    "files": ("Each file", "A file that fails one of these is left out of the set."),
    "set": ("The whole set", "Training is blocked until all of these are met, but those that only warn."),
}
COUNTED = {  # by the columns that identify a failing row; a row of the whole set is not counted
    ("path",): ("file", "files"),
    ("picture", "path"): ("file", "files"),
    ("label",): ("class", "classes"),
    ("label", "split"): ("class in a split", "classes in splits"),
    ("across_splits", "across_labels"): ("group", "groups"),
}
PICTURES_SHOWN = 100


def render_data_docs(validation: Mapping[str, Any], folder: Path, data: Path = paths.DATA) -> Path:
    """Write index.html and one page per suite into `folder`, replacing those of an earlier call.

    Args:
        validation: the document of reports/validation.json.
        data: the folder of the images; the first 100 files left out are shown if they can be decoded.

    Returns:
        The path of index.html.

    Raises:
        DataError: a part of the document is missing, or the folder holds files that are not Data Docs.
    """
    _check(validation)
    pages = {"index.html": _index(validation, data)}
    for suite in validation["suites"]:
        pages[f"{suite['name']}.html"] = _suite_page(suite)
    _replace(folder, pages)
    return folder / "index.html"


def _check(validation: Mapping[str, Any]) -> None:
    lacking = [key for key in KEYS if key not in validation]
    unknown = [s["name"] for s in validation.get("suites", []) if s["name"] not in TITLES]
    if lacking or unknown:
        raise DataError(
            f"the validation result lacks {lacking} and has unknown suites {unknown}, expected "
            f"{list(KEYS)} and suites of {list(TITLES)}: run the validate stage again"
        )


def _index(validation: Mapping[str, Any], data: Path) -> str:
    suites = [_link(suite) for suite in validation["suites"]]
    checks, met = (sum(suite[key] for suite in suites) for key in ("all", "met"))
    totals = [sum(counts.values()) for counts in validation["classes"].values()]
    return (
        Environment(autoescape=True, trim_blocks=True)
        .from_string(INDEX)
        .render(
            validation,
            title="Data validation",
            css=Markup(_css()),
            splits=SPLITS,
            largest=max([1, *totals]),
            more=validation["files"] - validation["kept"] - len(validation["excluded"]),
            suites=suites,
            checks=checks,
            unmet=checks - met,
            thumbnails=_thumbnails(validation["excluded"], data),
        )
    )


def _thumbnails(excluded: Sequence[Row], data: Path) -> dict[int, str]:
    """Pictures of the first files left out, by place; those that cannot be decoded have none."""
    found = {}
    for place, file in enumerate(excluded[:PICTURES_SHOWN]):
        path = data / file["path"]
        # a table of labels may name any file; only those of the data belong on the page
        if path.resolve().is_relative_to(data.resolve()) and (jpeg := jpeg_of(path, SIDE)):
            found[place] = data_uri(jpeg, "image/jpeg")
    return found


def _link(suite: Row) -> Row:
    return {
        "page": f"{suite['name']}.html",
        "title": TITLES[suite["name"]][0],
        "note": "the page names what fails",
        "met": sum(result["success"] for result in suite["results"]),
        "all": len(suite["results"]),
    }


def _suite_page(suite: Row) -> str:
    title, note = TITLES[suite["name"]]
    document: Any = ValidationResultsPageRenderer().render(_revived(suite))
    # its first section holds a run's name and time, which we do not keep, and a dead link
    document.sections = document.sections[1:]
    view: Any = DefaultJinjaPageView()
    templates = DictLoader({"page.j2": SUITE_PAGE})
    view.env.loader = ChoiceLoader([templates, view.env.loader])
    return str(view.render(document, title=title, note=note, css=_css()))


def _revived(suite: Row) -> ExpectationSuiteValidationResult:
    """Rebuild GX's own object from the stored validation result."""
    met = _link(suite)["met"]
    return ExpectationSuiteValidationResult(
        success=met == len(suite["results"]),
        results=[_revived_result(result) for result in suite["results"]],
        suite_name=suite["name"],
        statistics={
            "evaluated_expectations": len(suite["results"]),
            "successful_expectations": met,
            "unsuccessful_expectations": len(suite["results"]) - met,
            "success_percent": None,
        },
        meta={},
    )


def _revived_result(result: Row) -> ExpectationValidationResult:
    config = result["expectation_config"]
    return ExpectationValidationResult(
        success=result["success"],
        expectation_config=ExpectationConfiguration(
            type=config["type"],
            kwargs=dict(config["kwargs"]),
            description=html.escape(config["description"]),
            severity=config["severity"],
        ),
        result=_escaped({**result["result"], "observed_value": _observed(result)}),
    )


def _observed(result: Row) -> str:
    """How many rows were checked, and how many of them fail; GX itself shows a share of failing ones."""
    found = result["result"]
    count, failing = found["element_count"], found["unexpected_count"]
    names = COUNTED.get(tuple(found["unexpected_index_column_names"]))
    if names is None:
        return "met" if result["success"] else "not met"
    if count == 0:
        return "none to check"
    noun = names[count != 1]
    return f"{count} {noun} checked" if result["success"] else f"{failing} of {count} {noun}"


def _escaped(value: Any) -> Any:
    """Escape every string for HTML: GX's table cells would run a script in a file name."""
    if isinstance(value, dict):
        return {key: _escaped(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_escaped(part) for part in value]
    return html.escape(value) if isinstance(value, str) else value


def _css() -> str:
    return files("headstart.pipeline.data_docs").joinpath("docs.css").read_text(encoding="utf-8")


def _replace(folder: Path, pages: Mapping[str, str]) -> None:
    """Swap the whole folder at once, so that nobody sees half of the pages."""
    if foreign := sorted({path.name for path in folder.glob("*")} - pages.keys()):
        raise DataError(f"{folder} holds {foreign}, expected Data Docs only: name another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
        new, old = Path(scratch, "new"), Path(scratch, "old")
        new.mkdir()
        for name, page in pages.items():
            # a file name need not be Unicode: a lone surrogate in a path becomes a reference
            (new / name).write_text(page, encoding="utf-8", errors="xmlcharrefreplace")
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
