"""params.yaml: missing keys have defaults, and unknown ones are errors."""

from io import StringIO
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from headstart.errors import ModelError, ParamsError
from headstart.params import Params, load_params, note_on_defaults
from headstart.pipeline.network.heads import parse_replacement

TEXT = (Path(__file__).resolve().parents[2] / "params.yaml").read_text()


def write(folder: Path, old: str, new: str) -> Path:
    assert old in TEXT
    path = folder / "params.yaml"
    path.write_text(TEXT.replace(old, new, 1))
    return path


def test_the_committed_file_is_valid(tmp_path: Path) -> None:
    params = load_params(write(tmp_path, "", ""))
    assert params.train.optimizer == "adamw"
    assert params.model_dump(by_alias=True) == YAML(typ="safe").load(TEXT)


def test_the_defaults_are_the_values_of_the_committed_file(tmp_path: Path) -> None:
    """Types too: 60 and 60.0 have different digests."""
    assert Params().model_dump_json(by_alias=True) == load_params(write(tmp_path, "", "")).model_dump_json(
        by_alias=True
    )


def without(text: str, *keys: str) -> str:
    """The text of params.yaml without some keys or sections, by dotted name."""
    yaml = YAML()
    document = yaml.load(text)
    for key in keys:
        *above, last = key.split(".")
        section = document
        for part in above:
            section = section[part]
        del section[last]
    out = StringIO()
    yaml.dump(document, out)
    return out.getvalue()


KEYS = [
    key
    for name, section in Params()
    for key in (
        name.rstrip("_"),
        *(f"{name.rstrip('_')}.{inner}" for inner in type(section).model_fields),
    )
]


WEIGHTS = ("backbone", "backbone.weights")


@pytest.mark.parametrize(
    "key",
    [*(key for key in KEYS if key not in WEIGHTS), "register.thresholds.accuracy", "register.thresholds"],
)
def test_any_key_may_be_missing(tmp_path: Path, key: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(without(TEXT, key))
    params = load_params(path)
    assert params == Params()
    assert list(params.lacking()) == ["preprocess" if key == "preprocess.weights" else key]  # its only key


@pytest.mark.parametrize("key", WEIGHTS)
def test_which_weights_are_frozen_is_never_assumed(tmp_path: Path, key: str) -> None:
    path = tmp_path / "params.yaml"
    for text in (without(TEXT, key), without(TEXT, key) + "backbone:\n" * (key == "backbone"), ""):
        path.write_text(text)
        with pytest.raises(
            ParamsError, match=r"backbone\.weights is missing.*IMAGENET1K_V1, a file, or random"
        ):
            load_params(path)


def test_a_note_names_what_is_missing_and_its_default(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(without(TEXT, "gate.mirror", "train.temperature", "monitor", "validate.modes"))
    note = note_on_defaults(path, load_params(path))
    assert note == (
        f'{path} lacks validate.modes (["1", "L", "LA", "P", "PA", "RGB", "RGBA...), '
        "train.temperature (false), gate.mirror (0.85), monitor (the whole section): these defaults are "
        "used; `headstart upgrade` adds them"
    )
    assert note_on_defaults(path, load_params(path), {"split", "backbone"}) is None
    only_train = note_on_defaults(path, load_params(path), {"train"})
    assert only_train is not None
    assert "lacks train.temperature (false): " in only_train
    path.write_text("backbone: {weights: random}\n")
    many = note_on_defaults(path, load_params(path))
    assert many is not None
    assert len(many) < 400 + len(str(path))
    path.write_text(TEXT)
    assert note_on_defaults(path, load_params(path)) is None


@pytest.mark.parametrize("value", ["", " null", " ~", " {}"])
@pytest.mark.parametrize("place", ["preprocess:", "  thresholds:", "inspect:"])
def test_an_empty_section_has_its_defaults(tmp_path: Path, place: str, value: str) -> None:
    path = write(tmp_path, "", "")
    lines = path.read_text().splitlines(keepends=True)
    at = next(index for index, line in enumerate(lines) if line.startswith(place))
    indent = len(place) - len(place.lstrip())
    end = next(
        index
        for index in range(at + 1, len(lines))
        if not lines[index].strip() or len(lines[index]) - len(lines[index].lstrip()) <= indent
    )
    path.write_text("".join([*lines[:at], f"{place}{value}\n", *lines[end:]]))
    params = load_params(path)
    assert params == Params()
    assert [key.split(".")[-1] for key in params.lacking()] == [place.strip(" :")]


def test_a_default_that_contradicts_the_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"must sum to 1 \(by default: test 0.2, seed 0, group null\)"):
        load_params(
            write(
                tmp_path,
                TEXT[TEXT.index("split:") : TEXT.index("preprocess:")],
                "split: {train: 0.9, val: 0.1}\n",
            )
        )


def test_numbers_are_read_as_dvc_reads_them(tmp_path: Path) -> None:
    assert load_params(write(tmp_path, "lr: 0.003", "lr: 1e-3")).train.lr == 0.001


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("epochs: 60", "epoch: 60", r"train.epoch is unknown; did you mean epochs"),
        ("epochs: 60", "epochs: ten", r"train.epochs: .*integer.*found 'ten'"),
        ("epochs: 60", "epochs: 0", r"train.epochs: .*greater than or equal to 1.*found 0"),
        ("epochs: 60", "epochs: 2.5", r"train.epochs: .*found 2.5"),
        ("trials: null", "trials: [{lrr: 1}]", r"train.trials.0.lrr is unknown; did you mean lr\?"),
        ("trials: null", "trials: []", r"train: trials must name at least one"),
        ("alpha: 0.01 ", "alpha: 0.001 ", r"monitor: 2000 permutations cannot show drift.*at least 8000"),
        ("min_images: 30", "min_images: 1", r"monitor.min_images: .*greater than or equal to 2"),
        ("trials: null", "trials: 3", r"train.trials: .*dictionary.*found 3"),
        (
            "trials: null",
            "trials: {count: 2, seed: 0, lr: {low: 1, high: 0.1, log: true}}",
            r"low must be at most",
        ),
        ("trials: null", "trials: {count: 2, seed: 0, lr: [-1]}", r"train.trials.lr.0: .*greater than 0"),
        (
            "trials: null",
            "trials: {count: 2, seed: 0, dropuot: [0]}",
            r"trials.dropuot is unknown; did you mean dropout",
        ),
        ("trials: null", "trials: {seed: 0}", r"train.trials.count is missing"),
        ("warmup_epochs: 0 ", "warmup_epochs: 60 ", r"warmup_epochs must be less than epochs \(60\)"),
        ("class_weights: null", "class_weights: even", r"train.class_weights: .*'balanced'.*found 'even'"),
        ("init: null", "init: abc", r"train.init: .*found 'abc'"),
        ("train: []", "train: classifier", r"model.train: .*list.*found 'classifier'"),
        ("hidden: [256]", "hidden: [0]", r"model.hidden.0: .*greater than or equal to 1"),
        ("lr: 0.003", "lr: -1", r"train.lr: .*greater than 0.*found -1"),
        ("lr: 0.003", "lr: .nan", r"train.lr: .*finite"),
        ("optimizer: adamw", "optimizer: lion", r"train.optimizer: .*'adamw' or 'sgd'.*found 'lion'"),
        ("  test: 0.2", "  test: 0.3", r"split: train, val and test must sum to 1"),
        ("backbone:", "backbon:", r"backbon is unknown; did you mean backbone"),
        ("accuracy: 0.85", "acuracy: 0.85", r"register.thresholds.acuracy is unknown; did you mean accuracy"),
        ("model: headstart", "model: a/b", r"register.model"),
        (
            "weights: random",
            "weights: IMAGENET1K_FEATURES",
            r"needs images as preprocess.weights IMAGENET1K_F",
        ),
        ("backbone:\n", "backbone: 3\nx:\n", r"backbone: .*found 3"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        load_params(write(tmp_path, old, new))


@pytest.mark.parametrize("text", ["a: [1", "a: 1\na: 2\n", "", "- 1\n", "\x00"])
def test_what_is_no_mapping_of_sections_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(ParamsError, match=r"params\.yaml"):
        load_params(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("lr: 0.003", "lr: 2024-13-45", "not valid YAML: month must be in 1..12"),
        ("epochs: 60", "epochs: !!int abc", "not valid YAML: invalid literal"),
        ("lr: 0.003", "lr: !!float x", "not valid YAML: could not convert"),
        ("epochs: 60", f"epochs: {'9' * 5000}", "not valid YAML: Exceeds the limit"),
        ("epochs: 60", f"epochs: {'9' * 4000}", "train.epochs: .*found a number of 13288 bits"),
        ("epochs: 60", f"epochs: 0x{'f' * 9000}", "train.epochs: .*found a number of 36000 bits"),
        ("lr: 0.003", f"lr: {'9' * 4000}", "train.lr: .*found a number of 13288 bits"),
        ("trials: null", f"trials: {'[' * 700}{']' * 700}", "not valid YAML: it is nested too deeply"),
        ("trials: null", f"trials: {'[' * 100}{']' * 100}", "train.trials"),
        ("lr: 0.003", f"{'x' * 1000}: 3", "train.x{294}... is unknown"),
        ("lr: 0.003", f"lr: {'x' * 10_000}", "train.lr: .*found 'x+...x+'"),
    ],
)
def test_no_value_ends_in_a_traceback_or_a_long_message(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    with pytest.raises(ParamsError, match=message) as raised:
        load_params(write(tmp_path, old, new))
    assert len(str(raised.value)) < 2000


@pytest.mark.parametrize("place", ["trials: null", "replace: {}", "class_weights: null", "group: null"])
def test_nested_aliases_make_no_long_message(tmp_path: Path, place: str) -> None:
    path = write(tmp_path, place, f"{place.split(':')[0]}: *a9")
    aliases = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10))
    path.write_text(f"a0: &a0 [lol]\n{aliases}{path.read_text()}")
    with pytest.raises(ParamsError) as raised:
        load_params(path)
    assert len(str(raised.value)) < 2000 + len(str(path))


def test_nested_aliases_in_a_layer_make_no_long_message() -> None:
    value: object = ["lol"]
    for _ in range(20):
        value = [value] * 9
    with pytest.raises(ModelError) as raised:
        parse_replacement("classifier.3", {"linear": value})
    assert len(str(raised.value)) < 1000


def test_a_missing_file_says_how_to_have_it_back(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="git checkout"):
        load_params(tmp_path / "params.yaml")


def test_every_list_and_mapping_can_be_edited_by_a_program(tmp_path: Path) -> None:
    """`dvc exp run -S` and `headstart init-from` edit the file with ruamel, which keeps comments."""
    path = write(tmp_path, "", "")
    for section, key, value in [
        ("model", "train", ["features.28", "classifier"]),
        ("model", "train", []),
        ("model", "replace", {"classifier.3": {"linear": 64}}),
        ("model", "replace", {}),
        ("model", "hidden", [64, 32]),
        ("train", "trials", [{"lr": 0.1}, {"lr": 0.2}]),
        ("train", "trials", None),
        ("train", "class_weights", {"ok": 2.0}),
    ]:
        yaml = YAML()
        document = yaml.load(path)
        document[section][key] = value
        yaml.dump(document, path)
        assert load_params(path).model_dump(by_alias=True, exclude_unset=True)[section][key] == value
