"""The card of a version for the page: Markdown as a tree of a few elements, in which nothing is HTML."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypedDict

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

from headstart.errors import HeadstartError, UnreachableError
from headstart.versions.registry import exported, versions
from headstart.versions.serving.opening import Opened

BLOCKS = ("p", "h1", "h2", "h3", "h4", "ul", "ol", "li", "table", "thead", "tbody", "tr", "th", "td")
TAGS = (*BLOCKS, "strong", "em")
NO_VERSION = "only a version in MLflow, or one exported from there, has a card; this is another model"
EMPTY = "the version has no description in MLflow"
UNREACHABLE = "MLflow did not answer when the server opened the version"


class Element(TypedDict):
    """An element, named as in HTML."""

    tag: str
    content: "list[Element | str]"


@dataclass(frozen=True)
class Card:
    """A version's description in MLflow when it was opened or exported; without one, the reason."""

    markdown: str
    why_not: str | None

    @cached_property
    def content(self) -> list[Element | str]:
        """Its elements: texts, and `{"tag": ..., "content": [...]}` with the tags of `TAGS` and `code`."""
        parsed = MarkdownIt("commonmark", {"html": False}).enable("table").parse(self.markdown)
        return _nodes(SyntaxTreeNode(parsed))


def card_of(opened: Opened) -> Card:
    """The card of a model, from the folder that it was exported to, or asked of MLflow."""
    if opened.name != opened.version:
        held = Path(opened.name, exported.CARD)
        return Card(held.read_text(encoding="utf-8"), None) if held.is_file() else Card("", NO_VERSION)
    try:
        text = versions.description(opened.version)
    except UnreachableError:
        return Card("", UNREACHABLE)
    except HeadstartError as error:
        return Card("", str(error))
    return Card(text, None if text.strip() else EMPTY)


def _nodes(parent: SyntaxTreeNode) -> list[Element | str]:
    return [node for child in parent.children for node in _node(child)]


def _node(node: SyntaxTreeNode) -> list[Element | str]:
    """An element, or its contents alone: links, which lead to MLflow's pages, stay as their text."""
    if node.type in ("code_inline", "code_block", "fence"):
        return [{"tag": "code", "content": [node.content]}]
    if node.type in ("softbreak", "hardbreak"):
        return [" "]
    if not node.children:
        return [node.content] if node.content and node.type != "hr" else []
    if node.tag in TAGS:
        return [{"tag": node.tag, "content": _nodes(node)}]
    return _nodes(node)
