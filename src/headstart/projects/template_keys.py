"""The keys of a template of params.yaml, each with the lines that belong to it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ruamel.yaml.nodes import MappingNode

from headstart.ground.settings import Section
from headstart.params import Params
from headstart.projects.yaml_text import Pair, YamlText, column_of


@dataclass(frozen=True)
class TemplateKey:
    """A key with its comment and value, in lines without breaks.

    Attributes:
        name: dotted.
        inline: key and value, for a mapping in braces.
        gap: the blank lines above it.
        comments: the comment above it.
        body: the key with its value.
        parts: the keys of a section; empty for all others.
    """

    name: str
    key: str
    value: Any
    column: int
    inline: str
    gap: list[str]
    comments: list[str]
    body: list[str]
    parts: "list[TemplateKey]"

    def shifted(self, lines: Sequence[str], column: int) -> list[str]:
        """Lines of this key for a mapping whose keys are at another column."""
        cut = ((line, min(self.column, column_of(line))) for line in lines)
        return [f"{' ' * column}{line[own:]}" if line.strip() else "" for line, own in cut]


def keys_of(template: YamlText) -> list[TemplateKey]:
    """The sections of a template, with their keys as `parts`."""
    return _keys(template, template.mapping(), 0, "", template.values, Params)


def _keys(
    template: YamlText, mapping: MappingNode, start: int, above: str, values: Any, section: type[Section]
) -> list[TemplateKey]:
    """The keys of a mapping whose lines start at an offset."""
    keys = []
    for pair in template.pairs(mapping):
        value, inner = values[pair.key], section.subsections().get(pair.key)
        inline = f"{pair.key}: {_inline(template, pair, value)}"
        gap, comments = _leading(template.lines(start, pair.start))
        body = template.lines(pair.start, pair.end)
        column = pair.column
        if mapping.flow_style:
            gap, comments, body, column = [], [], [inline], 0
        parts: list[TemplateKey] = []
        if inner is not None and isinstance(pair.node, MappingNode):
            below = template.next_line(pair.start)
            parts = _keys(template, pair.node, below, f"{above}{pair.key}.", value, inner)
        name = f"{above}{pair.key}"
        keys.append(TemplateKey(name, pair.key, value, column, inline, gap, comments, body, parts))
        start = pair.end
    return keys


def _leading(lines: Sequence[str]) -> tuple[list[str], list[str]]:
    """The last blank lines above a key, and the comment between them and the key."""
    first = next((index for index in range(len(lines), 0, -1) if not lines[index - 1].strip()), 0)
    top = first
    while top and not lines[top - 1].strip():
        top -= 1
    return [""] * (first - top), list(lines[first:])


def _inline(template: YamlText, pair: Pair, value: Any) -> str:
    source = template.text[pair.node.start_mark.index : pair.node.end_mark.index]
    if source and "\n" not in source and not pair.is_alias:
        return source
    return json.dumps(value, ensure_ascii=False)
