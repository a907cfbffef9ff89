"""The text of a YAML mapping with the places of its keys, into which lines can be inserted."""

import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node

BREAK = re.compile(r"\r\n|\n|\r")
ALIAS = re.compile(r"\s*:\s+\*[^\s,\[\]{}]+")
BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True)
class Pair:
    """A key of a mapping and its value.

    Attributes:
        start: offset of the line that holds the key.
        end: offset behind the last line that belongs to the value: comments that are indented deeper than
            the key included, blank lines behind it not.
        value_end: offset behind the value itself, for a mapping in braces.
        is_alias: whether the value is `*name`; the node is then that of the anchor.
    """

    key: str
    column: int
    node: Node
    start: int
    end: int
    value_end: int
    is_alias: bool


@dataclass(frozen=True)
class Insertion:
    """A text for an offset: whole lines, which end with a line break, or a part of a line."""

    at: int
    text: str
    is_lines: bool = True


class YamlText:
    """A YAML document in its own bytes.

    Raises:
        ruamel.yaml.error.YAMLError: it is not a YAML document.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.root: Node | None = YAML(typ="safe", pure=True).compose(text)
        self.values: Any = values_of(text)
        found = BREAK.search(text)
        self.line_break = found[0] if found else "\n"
        first = len(BYTE_ORDER_MARK) if text.startswith(BYTE_ORDER_MARK) else 0
        starts = [first, *(each.end() for each in BREAK.finditer(text))]
        self._starts = starts[:-1] if starts[-1] == len(text) and len(starts) > 1 else starts

    def mapping(self) -> MappingNode:
        """The outermost mapping."""
        assert isinstance(self.root, MappingNode)
        return self.root

    def line_start(self, offset: int) -> int:
        """Offset of the line that holds an offset."""
        return self._starts[max(0, bisect_right(self._starts, offset) - 1)]

    def next_line(self, offset: int) -> int:
        """Offset of the line after the one that holds an offset; the end of the text if it is the last."""
        index = bisect_right(self._starts, offset)
        return self._starts[index] if index < len(self._starts) else len(self.text)

    def line_offsets(self, start: int, end: int) -> list[int]:
        """Offsets of the lines between two of them, and the end."""
        return [*(each for each in self._starts if start <= each < end), end]

    def insertion(self, at: int, lines: Iterable[str]) -> Insertion:
        """An insertion of lines before the line at an offset."""
        return Insertion(at, "".join(f"{line}{self.line_break}" for line in lines))

    def begins_its_line(self, mapping: MappingNode) -> bool:
        """Whether there is nothing but spaces before the first key of a mapping."""
        first = mapping.value[0][0].start_mark.index
        return not self.text[self.line_start(first) : first].strip()

    def lines(self, start: int, end: int) -> list[str]:
        """The lines between two offsets at which lines start or the text ends, without their breaks."""
        found = BREAK.split(self.text[start:end])
        return found[:-1] if found[-1] == "" else found

    def pairs(self, mapping: MappingNode) -> list[Pair]:
        """The keys of a mapping in their order; those that `<<` merges are not among them."""
        keys = [key.start_mark.index for key, _ in mapping.value]
        bounds = pairwise([*keys, mapping.end_mark.index])
        return [
            self._pair(key, value, until)
            for (key, value), (_, until) in zip(mapping.value, bounds, strict=True)
        ]

    def first_line(self, mapping: MappingNode) -> int:
        """Offset of the line before which a new first key belongs, above the comment of the present one.

        A comment that starts the text is about all of it.
        """
        place = start = self.line_start(mapping.value[0][0].start_mark.index)
        while place > self._starts[0]:
            above = self.line_start(place - 1)
            if not is_comment(self.text[above:place]):
                return place
            place = above
        return start

    def inserted(self, insertions: Iterable[Insertion]) -> str:
        """The text with insertions; those at one offset stay in their order."""
        parts, last = [], 0
        for each in sorted(insertions, key=lambda each: each.at):
            parts += [self.text[last : each.at], self._fitted(each)]
            last = each.at
        return "".join([*parts, self.text[last:]])

    def _fitted(self, insertion: Insertion) -> str:
        is_behind_all = insertion.is_lines and insertion.at == len(self.text)
        if not is_behind_all or not self.text or BREAK.fullmatch(self.text[-1]):
            return insertion.text
        return self.line_break + insertion.text.removesuffix(self.line_break)

    def _pair(self, key: Node, value: Node, until: int) -> Pair:
        behind_key = key.end_mark.index
        is_alias = value.start_mark.index < behind_key
        alias = ALIAS.match(self.text, behind_key) if is_alias else None
        return Pair(
            key=str(key.value),
            column=key.start_mark.column,
            node=value,
            start=self.line_start(key.start_mark.index),
            end=self._end(key, value, until),
            value_end=alias.end() if alias else value.end_mark.index,
            is_alias=is_alias,
        )

    def _end(self, key: Node, value: Node, until: int) -> int:
        """Offset behind the lines of a pair, the next of which is at `until`."""
        if getattr(value, "style", None) in ("|", ">"):
            return int(value.end_mark.index)  # lines that look like comments are text
        last = len(self.text) if until >= len(self.text) else self.line_start(until)
        least = self.next_line(key.start_mark.index)
        while last > least:
            above = self.line_start(last - 1)
            line = self.text[above:last]
            if line.strip() and (not is_comment(line) or column_of(line) > key.start_mark.column):
                break
            last = above
        return max(last, least)


def values_of(text: str) -> object:
    """The values of a YAML document, as `load_params` reads them."""
    return YAML(typ="safe", pure=True).load(text)


def is_comment(line: str) -> bool:
    return line.lstrip().startswith("#")


def column_of(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
