"""Add what a user's params.yaml lacks, out of a template; what is there stays, byte for byte."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ruamel.yaml.nodes import MappingNode, ScalarNode

from headstart.errors import ParamsError
from headstart.ground.settings import Section
from headstart.ground.wording import named, shortened
from headstart.params import Params
from headstart.projects.template_keys import TemplateKey, keys_of
from headstart.projects.yaml_text import Insertion, Pair, YamlText, values_of

STEP = 2  # columns by which the keys of a section are indented if none is there yet


def add_missing(text: str, template: str) -> tuple[str, list[str]]:
    """Add the keys and sections that a params.yaml lacks, with the template's comments and values.

    Each is put where the template has it. Free mappings, such as `model.replace`, stay as they are.

    Args:
        text: the user's file with its own line breaks: read and write it with `newline=""`.
        template: a complete params.yaml; its root and its sections are not in braces.

    Returns:
        The new text, and the dotted names of what was added; a section that was missing is one name.

    Raises:
        ParamsError: the text is not a mapping of sections, or something cannot be added without a change of
            what is there; the message has the lines to add by hand.
    """
    user, ours = _parsed(text), YamlText(template)
    place = Place(user, user.mapping(), 0, len(text))
    found = list(_lacking(place, user.values, keys_of(ours), Params))
    if not found:
        return text, []
    insertions = [insertion for _, insertion in found if insertion is not None]
    expected = _completed(user.values, ours.values, Params)
    result = user.inserted(insertions)
    if len(insertions) < len(found) or not _holds(result, expected):
        raise ParamsError(_by_hand([key for key, _ in found]))
    return result, [key.name for key, _ in found]


@dataclass(frozen=True)
class Place:
    """A mapping of the user's file, whose lines are between two offsets."""

    text: YamlText
    mapping: MappingNode
    start: int
    end: int

    @property
    def pairs(self) -> list[Pair]:
        return self.text.pairs(self.mapping)


Found = tuple[TemplateKey, Insertion | None]  # a missing key, and where it belongs; None: nowhere


def _parsed(text: str) -> YamlText:
    try:
        found = YamlText(text)
    except Exception as error:  # a value raises whatever its type makes of it
        raise ParamsError(f"params.yaml is not valid YAML: {shortened(str(error))}; correct it") from error
    if not isinstance(found.root, MappingNode) or not found.root.value:
        raise ParamsError("params.yaml holds no sections; restore it with `git checkout params.yaml`")
    return found


def _lacking(
    place: Place, values: Any, keys: Sequence[TemplateKey], section: type[Section]
) -> Iterator[Found]:
    """The keys that a mapping of the user's lacks, in the order of the template."""
    inner = section.subsections()
    for index, key in enumerate(keys):
        if key.key not in values:
            yield key, _insertion(place, keys, index)
        elif key.key in inner and values[key.key] is None:
            yield key, _below_heading(place, key)
        elif key.key in inner and isinstance(values[key.key], dict):
            yield from _lacking_in_section(place, values[key.key], key, inner[key.key])


def _lacking_in_section(
    place: Place, values: Any, key: TemplateKey, section: type[Section]
) -> Iterator[Found]:
    """The keys that a section of the user's lacks; nothing can be put into `*name` or a merged section."""
    pair = next((pair for pair in place.pairs if pair.key == key.key), None)
    if pair is None or pair.is_alias or not isinstance(pair.node, MappingNode):
        yield from ((part, None) for part in key.parts if part.key not in values)
        return
    end = min((other.start for other in place.pairs if other.start > pair.start), default=place.end)
    below = Place(place.text, pair.node, place.text.next_line(pair.start), end)
    yield from _lacking(below, values, key.parts, section)


def _insertion(place: Place, keys: Sequence[TemplateKey], index: int) -> Insertion | None:
    """The place of a key: behind the last of those before it in the template that the user has, or first."""
    pairs = {pair.key: pair for pair in place.pairs}
    before = next((pairs[key.key] for key in reversed(keys[:index]) if key.key in pairs), None)
    if place.mapping.flow_style:
        return _insertion_in_braces(place, keys[index].inline, before, is_first=index == 0)
    column = place.pairs[0].column
    if not place.text.begins_its_line(place.mapping):
        return None
    key = keys[index]
    comments, at = _comment_above(place, key)
    lines = key.shifted([*comments, *key.body], column)
    if at is None and before is not None:
        at, lines = before.end, [*key.gap, *lines]
    elif at is None:
        below = keys[index + 1].gap if index + 1 < len(keys) else []
        at, lines = place.text.first_line(place.mapping), [*lines, *below]
    return place.text.insertion(at, lines)


def _insertion_in_braces(place: Place, inline: str, before: Pair | None, is_first: bool) -> Insertion:
    if before is not None:
        return Insertion(before.value_end, f", {inline}", is_lines=False)
    at = place.text.text.index("{", place.mapping.start_mark.index) + 1
    if place.mapping.value:
        return Insertion(at, f"{inline}, ", is_lines=False)
    return Insertion(at, inline if is_first else f", {inline}", is_lines=False)


def _comment_above(place: Place, key: TemplateKey) -> tuple[list[str], int | None]:
    """The comment that comes with a key, and the place below it if the user has it, without the key."""
    wanted = [line.strip() for line in key.comments]
    if not wanted:
        return [], None
    offsets = place.text.line_offsets(place.start, place.end)
    lines = [line.strip() for line in place.text.lines(place.start, place.end)]
    for first in range(len(lines) - len(wanted) + 1):
        if lines[first : first + len(wanted)] == wanted:
            return [], offsets[first + len(wanted)]
    return ([], None) if set(wanted) & set(lines) else (key.comments, None)


def _below_heading(place: Place, key: TemplateKey) -> Insertion | None:
    """The keys of a section whose heading is there, with nothing below it."""
    pair = next((pair for pair in place.pairs if pair.key == key.key), None)
    is_empty = pair is not None and isinstance(pair.node, ScalarNode) and pair.node.value == ""
    if pair is None or pair.is_alias or not is_empty or place.mapping.flow_style:
        return None
    lines = [line for part in key.parts for line in [*part.comments, *part.body]]
    return place.text.insertion(pair.end, key.parts[0].shifted(lines, pair.column + STEP))


def _holds(text: str, expected: object) -> bool:
    """Whether a text is YAML of these values, types included."""
    try:
        return _same(values_of(text), expected)
    except Exception:  # the caller has the text from before
        return False


def _same(one: object, other: object) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return type(one) is type(other) and repr(one) == repr(other)


def _completed(values: Any, ours: Any, section: type[Section]) -> Any:
    """The user's values, and the template's for what they lack."""
    inner = section.subsections()
    found = dict(values)
    for key, value in ours.items():
        if key not in found or (key in inner and found[key] is None):
            found[key] = value
        elif key in inner and isinstance(found[key], dict):
            found[key] = _completed(found[key], value, inner[key])
    return found


def _by_hand(keys: Sequence[TemplateKey]) -> str:
    """The error that has what to add by hand."""
    lines: list[str] = []
    heading: list[str] = []
    for key in keys:
        *above, _ = key.name.split(".")
        if above != heading:
            heading = above
            lines += [f"{' ' * STEP * depth}{name}:" for depth, name in enumerate(above)]
        lines += key.shifted(key.body, STEP * len(above))
    names = named([key.name for key in keys])
    advice = f"{names} cannot be added to params.yaml without a change of what is there; add by hand"
    return "\n".join([f"{advice}:", *lines])
