"""Adding missing keys to a params.yaml: all that the user wrote stays as it is, byte for byte."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from projects import ROOT
from ruamel.yaml import YAML

from headstart.errors import ParamsError
from headstart.params import load_params
from headstart.projects.params_file import add_missing
from headstart.projects.template_keys import TemplateKey, keys_of
from headstart.projects.yaml_text import YamlText, is_comment

TEXT = (ROOT / "params.yaml").read_text(encoding="utf-8")
SECTIONS = keys_of(YamlText(TEXT))


def all_keys() -> Iterator[TemplateKey]:
    """Every key and section of the repository's file that has lines of its own, the smaller ones last."""
    for section in SECTIONS:
        yield section
        for key in section.parts:
            yield key
            if len(key.body) > 1:
                yield from key.parts


KEYS = {key.name: key for key in all_keys()}


def cut(text: str, *names: str, keeps_comments: bool = False) -> str:
    """A text without the lines of some keys, whose names are not parts of each other."""
    lines = text.split("\n")
    for name in names:
        key = KEYS[name]
        own = ([] if keeps_comments else key.gap + key.comments) + key.body
        if name == SECTIONS[0].name:
            own = [*key.body, ""]
        [at] = [at for at in places(lines, own) if is_in(lines, at, name)]
        del lines[at : at + len(own)]
    return "\n".join(lines)


def places(lines: list[str], own: list[str]) -> list[int]:
    return [at for at in range(len(lines)) if lines[at : at + len(own)] == own]


def is_in(lines: list[str], at: int, name: str) -> bool:
    """Whether the lines at a place are those of the key with this name, and not of one in another section."""
    section, _, key = name.partition(".")
    if not key:
        return True
    above = [line for line in lines[: at + 1] if line[:1].isalpha()]
    return above[-1].startswith(f"{section}:")


def comments_of(text: str) -> list[str]:
    return sorted(line.partition("#")[2].strip() for line in text.splitlines() if "#" in line)


def values_of(text: str) -> object:
    return YAML(typ="safe", pure=True).load(text)


def is_kept(before: str, after: str) -> bool:
    """Whether a text holds every character of another, in their order."""
    rest = iter(after)
    return all(character in rest for character in before)


def test_a_complete_file_stays_as_it_is() -> None:
    assert add_missing(TEXT, TEXT) == (TEXT, [])


@pytest.mark.parametrize("name", KEYS)
def test_each_key_comes_back_to_its_place_with_its_comment(name: str) -> None:
    whole = "preprocess" if name == "preprocess.weights" else name  # its only key
    assert add_missing(cut(TEXT, name), TEXT) == (TEXT, [whole])


@pytest.mark.parametrize("name", [name for name, key in KEYS.items() if key.comments])
def test_a_comment_that_stayed_is_not_added_again(name: str) -> None:
    assert add_missing(cut(TEXT, name, keeps_comments=True), TEXT) == (TEXT, [name])


def chosen(draw: random.Random, most: int) -> list[str]:
    """Names of keys, none of which is part of another, or all that a section has."""
    names: list[str] = []
    for name in draw.sample(sorted(KEYS), most):
        is_free = not any(
            f"{name}.".startswith(f"{other}.") or other.startswith(f"{name}.") for other in names
        )
        siblings = [key for key in KEYS if key.rpartition(".")[0] == name.rpartition(".")[0]]
        if is_free and set(siblings) - {*names, name}:
            names.append(name)
    return names


@pytest.mark.parametrize("seed", range(40))
def test_several_keys_come_back_to_their_places(seed: int) -> None:
    draw = random.Random(seed)
    names = chosen(draw, draw.randrange(2, 40))
    order = list(KEYS)
    text, added = add_missing(cut(TEXT, *names), TEXT)
    assert text == TEXT
    assert added == sorted(names, key=order.index)


def wide(text: str) -> str:
    return "\n".join(
        line.replace("  ", "    ", 1) if line.startswith("  ") else line for line in text.split("\n")
    )


def narrow(text: str) -> str:
    return "\n".join(line.removeprefix(" ") for line in text.split("\n"))


def reversed_sections(text: str) -> str:
    first, *others = text.rstrip("\n").split("\n\n")
    return "\n\n".join([first, *reversed(others)]) + "\n"


ODD: dict[str, Callable[[str], str]] = {
    "Windows": lambda text: text.replace("\n", "\r\n"),
    "old Mac": lambda text: text.replace("\n", "\r"),
    "no end": lambda text: text.rstrip("\n"),
    "many ends": lambda text: f"{text}\n\n\n",
    "end mark": lambda text: f"{text}...\n",
    "start mark": lambda text: f"%YAML 1.2\n---\n{text}",
    "byte order mark": lambda text: f"\ufeff{text}",
    "wide": wide,
    "narrow": narrow,
    "tabs": lambda text: text.replace(" # ", " #\t"),
    "trailing spaces": lambda text: "".join(f"{line}  \n" for line in text.split("\n")[:-1]),
    "no blank lines": lambda text: text.replace("\n\n", "\n"),
    "more blank lines": lambda text: text.replace("\n", "\n\n").replace("\n\n\n\n", "\n\n\n"),
    "quoted keys": lambda text: text.replace("gate:", '"gate":').replace("  seed:", "  'seed':"),
    "other order": reversed_sections,
    "own comments": lambda text: text.replace("\n  seed", "\n  # my own é\n  seed").replace(
        "\n\n", "\n\n# mine\n"
    ),
    "last comment": lambda text: f"{text}  # the end of it\n# really\n",
    "an anchor": lambda text: text.replace("seed: 0", "seed: &seed 0", 1),
    "wrapped": lambda text: text.replace("[JPEG, MPO, ", "[JPEG,\n    MPO,  # of phones\n  "),
}


EACH = [(name,) for name in ODD] * 2
PAIRED = [tuple(random.Random(seed).sample(sorted(ODD), 2)) for seed in range(60)]


@pytest.mark.parametrize(("seed", "oddities"), [*enumerate([*EACH, *PAIRED])])
def test_odd_files_keep_every_byte(seed: int, oddities: tuple[str, ...], tmp_path: Path) -> None:
    draw = random.Random(seed)
    own = cut(TEXT, *chosen(draw, draw.randrange(1, 30)))
    for oddity in oddities:
        own = ODD[oddity](own)
    text, added = add_missing(own, TEXT)
    assert added
    assert is_kept(own, text)
    assert values_of(text) == values_of(TEXT)
    assert text.endswith("\n") == own.endswith("\n")
    assert set(comments_of(TEXT)) <= set(comments_of(text))
    assert [line for line in comments_of(text) if line not in comments_of(own)] == [
        line for line in comments_of(TEXT) if line not in comments_of(own)
    ]
    path = tmp_path / "params.yaml"
    path.write_text(text, newline="")
    assert load_params(path).lacking() == {}
    assert add_missing(text, TEXT) == (text, [])


TEMPLATE = """\
# All settings.

split:
  train: 0.6
  val: 0.2   # chooses
  test: 0.2

gate:        # to pass
  margin: 0.05   # below
  # How sure.
  # In [0, 1].
  confidence: 0.9
  mirror: 0.85

register:
  model: headstart
  thresholds:
    accuracy: 0.85
    balanced_accuracy: 0.8
"""
GATE = "gate: {margin: 0.05, confidence: 0.9, mirror: 0.85}\n"
OTHERS = (
    TEMPLATE[TEMPLATE.index("split:") : TEMPLATE.index("gate:")] + TEMPLATE[TEMPLATE.index("register:") :]
)


@pytest.mark.parametrize(
    ("gate", "expected"),
    [
        ("gate: {margin: 0.1}\n", "gate: {margin: 0.1, confidence: 0.9, mirror: 0.85}\n"),
        ("gate: {mirror: 0.1}\n", "gate: {margin: 0.05, confidence: 0.9, mirror: 0.1}\n"),
        ("gate: {confidence: .5,}\n", "gate: {margin: 0.05, confidence: .5, mirror: 0.85,}\n"),
        ("gate: {}\n", GATE),
        ("gate: { }  # all\n", GATE.replace("}\n", " }  # all\n")),
        (
            "gate: {\n  margin: 0.1,  # much\n  mirror: 0.5  # half\n}\n",
            "gate: {\n  margin: 0.1, confidence: 0.9,  # much\n  mirror: 0.5  # half\n}\n",
        ),
        (
            "gate: {margin: &m 0.1, mirror: *m}\n",
            "gate: {margin: &m 0.1, confidence: 0.9, mirror: *m}\n",
        ),
        ("gate: {margin: 0.1, 'confidence': 0.5}", "gate: {margin: 0.1, 'confidence': 0.5, mirror: 0.85}"),
        (
            "gate:\n",
            "gate:\n  margin: 0.05   # below\n  # How sure.\n  # In [0, 1].\n  confidence: 0.9\n"
            "  mirror: 0.85\n",
        ),
        (
            "gate:  # later\n  # mirror: 0.5\n",
            "gate:  # later\n  # mirror: 0.5\n  margin: 0.05   # below\n  # How sure.\n  # In [0, 1].\n"
            "  confidence: 0.9\n  mirror: 0.85\n",
        ),
        (
            "gate:\n     margin: 0.1\n     mirror: 0.5",
            "gate:\n     margin: 0.1\n     # How sure.\n     # In [0, 1].\n     confidence: 0.9\n"
            "     mirror: 0.5",
        ),
        (
            "gate:\n  # About mirrors.\n  mirror: 0.5\n",
            "gate:\n  margin: 0.05   # below\n  # How sure.\n  # In [0, 1].\n  confidence: 0.9\n"
            "  # About mirrors.\n  mirror: 0.5\n",
        ),
        (
            "gate:\n  mirror: 0.1  # much,\n               # because\n  # of it\nother: 1\n",
            "gate:\n  margin: 0.05   # below\n  # How sure.\n  # In [0, 1].\n  confidence: 0.9\n"
            "  mirror: 0.1  # much,\n               # because\n  # of it\nother: 1\n",
        ),
        (
            "gate:\n  margin: 0.1  # much,\n               # because\n  # half\n  mirror: 0.5\n",
            "gate:\n  margin: 0.1  # much,\n               # because\n  # How sure.\n  # In [0, 1].\n"
            "  confidence: 0.9\n  # half\n  mirror: 0.5\n",
        ),
        (
            "gate:\n  margin: 0.1\n  # In [0, 1].\n  mirror: 0.5\n",
            "gate:\n  margin: 0.1\n  confidence: 0.9\n  # In [0, 1].\n  mirror: 0.5\n",
        ),
        (
            "gate: &g\n  margin: 0.1\n  <<: {confidence: 0.7}\n",
            "gate: &g\n  margin: 0.1\n  mirror: 0.85\n  <<: {confidence: 0.7}\n",
        ),
    ],
)
def test_keys_go_where_the_template_has_them(gate: str, expected: str) -> None:
    assert add_missing(OTHERS + gate, TEMPLATE)[0] == OTHERS + expected


def test_a_template_may_have_other_values_than_the_defaults() -> None:
    text, added = add_missing("# Mine.\nregister: {thresholds: {accuracy: 0.5}}\n", TEMPLATE)
    assert added == ["split", "gate", "register.model", "register.thresholds.balanced_accuracy"]
    assert text == (
        f"# Mine.\n{TEMPLATE[TEMPLATE.index('split:') : TEMPLATE.index('register:')]}"
        "register: {model: headstart, thresholds: {accuracy: 0.5, balanced_accuracy: 0.8}}\n"
    )


def test_free_mappings_stay_as_they_are() -> None:
    template = "model:\n  replace: {classifier.3: {linear: 4}}\n  head: mlp\n"
    own = "model:\n  replace: {}\n  head: null\n"
    assert add_missing(own, template) == (own, [])


@pytest.mark.parametrize(
    "gate",
    [
        "gate: null\n",
        "gate: ~\n",
        "other: &o {margin: 0.1}\ngate: *o\n",
        "a: &a {gate: {margin: 0.1}}\n<<: *a\n",
    ],
)
def test_what_has_no_place_is_named_with_the_lines_to_add(gate: str) -> None:
    with pytest.raises(ParamsError, match="without a change of what is there; add by hand:") as raised:
        add_missing(OTHERS + gate, TEMPLATE)
    assert "\n  mirror: 0.85" in str(raised.value)
    assert "\ngate:" in str(raised.value)


@pytest.mark.parametrize("text", ["", "# nothing\n", "- 1\n", "a: [1\n", "a: 1\na: 2\n", "{}\n"])
def test_what_holds_no_sections_is_an_error(text: str) -> None:
    with pytest.raises(ParamsError, match=r"params\.yaml"):
        add_missing(text, TEMPLATE)


def test_a_damaging_insertion_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(YamlText, "inserted", lambda self, insertions: self.text)
    with pytest.raises(ParamsError, match="gate.mirror cannot be added"):
        add_missing(TEMPLATE.replace("  mirror: 0.85\n", ""), TEMPLATE)


def test_comments_are_told_apart_from_values() -> None:
    assert is_comment("  # a")
    assert not is_comment("a: '#'")
