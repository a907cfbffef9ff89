"""params.yaml, read and checked once: every key must be there, and no other."""

import difflib
import math
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from headstart.errors import ParamsError

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Rate = Annotated[float, Field(ge=0, lt=1)]
ModelName = Annotated[str, Field(pattern=r"^[^/:.%\"']+$")]

MONITOR_CHECKS = 8  # of a comparison: the smallest p-value must survive Holm's correction over them


class Section(BaseModel):
    """A frozen section: unknown keys and other types are errors, nothing has a default."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Backbone(Section):
    arch: str
    weights: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")] | None
    seed: Seed
    width: Count


class Validate(Section):
    on_bad_file: Literal["exclude", "stop"]
    max_excluded: Share
    min_images_per_class: Count
    min_size: Count
    formats: list[str]
    modes: list[str]


class Split(Section):
    train: Share
    val: Share
    test: Share
    seed: Seed

    @property
    def fractions(self) -> dict[str, float]:
        return {"train": self.train, "val": self.val, "test": self.test}

    @model_validator(mode="after")
    def _sums_to_one(self) -> "Split":
        if abs(sum(self.fractions.values()) - 1) > 1e-9:
            raise ValueError("train, val and test must sum to 1")
        if min(self.fractions.values()) == 0:
            raise ValueError("train, val and test must each be more than 0")
        return self


class Preprocess(Section):
    weights: str


class Model(Section):
    head: str
    hidden: list[Count]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    replace: dict[str, Any]
    train: list[str]


class Features(Section):
    precision: Literal["fp32", "bf16"]
    batch_size: Count
    max_gb: Positive
    views: Count
    seed: Seed


class Range(Section):
    """What a sampled setting is drawn from."""

    low: NotNegative
    high: Positive
    log: bool

    @model_validator(mode="after")
    def _is_a_range(self) -> "Range":
        if self.low > self.high:
            raise ValueError(f"low must be at most high ({self.high:g})")
        if self.log and self.low == 0:
            raise ValueError("low must be more than 0 where log is true")
        return self


class Setting(Section):
    """One listed trial: what it has of its own; the rest is as in `train`."""

    lr: Positive | None = None
    momentum: Rate | None = None
    weight_decay: NotNegative | None = None
    label_smoothing: Rate | None = None
    dropout: Rate | None = None


def _is_list(value: object) -> str:
    return "list" if isinstance(value, list) else "mapping"


BY_SHAPE = Discriminator(_is_list)
AsMapping = Annotated[Range, Tag("mapping")]
Positives = Annotated[Annotated[list[Positive], Tag("list")] | AsMapping, BY_SHAPE]
NotNegatives = Annotated[Annotated[list[NotNegative], Tag("list")] | AsMapping, BY_SHAPE]
Rates = Annotated[Annotated[list[Rate], Tag("list")] | AsMapping, BY_SHAPE]


class Sample(Section):
    """Trials drawn at random: a list of choices or a range for each setting."""

    count: Count
    seed: Seed
    lr: Positives | None = None
    momentum: Rates | None = None
    weight_decay: NotNegatives | None = None
    label_smoothing: Rates | None = None
    dropout: Rates | None = None

    @model_validator(mode="after")
    def _rates_stay_below_one(self) -> "Sample":
        for name in ("momentum", "label_smoothing", "dropout"):
            within = getattr(self, name)
            if isinstance(within, Range) and within.high >= 1:
                raise ValueError(f"{name}.high must be less than 1, found {within.high:g}")
            if within == []:
                raise ValueError(f"{name} must name at least one value")
        return self


Trials = Annotated[Annotated[list[Setting], Tag("list")] | Annotated[Sample, Tag("mapping")], BY_SHAPE]


class Train(Section):
    optimizer: Literal["adamw", "sgd"]
    lr: Positive
    momentum: Annotated[float, Field(ge=0, lt=1)]
    weight_decay: NotNegative
    schedule: Literal["cosine", "one_cycle", "constant"]
    warmup_epochs: NotNegative
    epochs: Count
    batch_size: Count
    patience: Count
    class_weights: Literal["balanced"] | dict[str, NotNegative] | None
    label_smoothing: Rate
    clip_norm: Positive | None
    precision: Literal["fp32", "bf16"]
    seed: Seed
    init: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None
    trials: Trials | None

    @model_validator(mode="after")
    def _makes_sense(self) -> "Train":
        if self.schedule == "one_cycle" and self.warmup_epochs:
            raise ValueError("one_cycle has a warm-up of its own; set warmup_epochs to 0")
        if self.warmup_epochs >= self.epochs:
            raise ValueError(f"warmup_epochs must be less than epochs ({self.epochs})")
        if isinstance(self.trials, list) and not self.trials:
            raise ValueError("trials must name at least one trial, or be null")
        return self


class Data(Section):
    source: str | None
    settle_seconds: Annotated[float, Field(ge=0)]
    max_removed: Share


class Evaluate(Section):
    confidence: Annotated[float, Field(gt=0, lt=1)]
    resamples: Count
    seed: Seed


class Thresholds(Section):
    accuracy: Share
    balanced_accuracy: Share


class Register(Section):
    model: ModelName
    experiment: Annotated[str, Field(min_length=1)]
    package: Literal["shared", "full"]
    dirty: Literal["record", "refuse"]
    thresholds: Thresholds


class Gate(Section):
    margin: Share
    class_margin: Share
    confidence: Annotated[float, Field(gt=0, lt=1)]
    min_images: Count
    min_class_images: Count
    mirror: Share | None
    brightness: Share | None
    shift: Share | None
    encoding: Share | None
    behaviour_images: Count
    max_latency_ms: Positive
    max_size_mb: Positive


class Monitor(Section):
    source: str | None
    alpha: Annotated[float, Field(gt=0, lt=1)]
    min_images: Annotated[int, Field(ge=2)]
    max_rows: Count
    permutations: Count
    seed: Seed

    @model_validator(mode="after")
    def _can_find_something(self) -> "Monitor":
        if self.min_images > self.max_rows:
            raise ValueError(f"min_images must be at most max_rows ({self.max_rows})")
        if (self.permutations + 1) * self.alpha < MONITOR_CHECKS:
            least = math.ceil(MONITOR_CHECKS / self.alpha)
            raise ValueError(
                f"{self.permutations} permutations cannot show drift at alpha {self.alpha:g} in "
                f"{MONITOR_CHECKS} checks; expected at least {least}"
            )
        return self


class Params(Section):
    """All of params.yaml."""

    data: Data
    backbone: Backbone
    validate_: Validate = Field(alias="validate")
    split: Split
    preprocess: Preprocess
    model: Model
    features: Features
    train: Train
    evaluate: Evaluate
    register_: Register = Field(alias="register")
    gate: Gate
    monitor: Monitor

    @model_validator(mode="after")
    def _weights_get_their_own_transform(self) -> "Params":
        weights = self.backbone.weights
        if weights.startswith("IMAGENET") and weights != self.preprocess.weights:
            raise ValueError(
                f"backbone.weights {weights} must be fed what preprocess.weights {weights} makes"
            )
        return self


def load_params(path: Path) -> Params:
    """Read params.yaml.

    Raises:
        ParamsError: no such file, no YAML, or the first keys that are missing, unknown or wrong.
    """
    try:
        # YAML 1.2, as DVC reads it: `1e-3` is a number.
        document = YAML(typ="safe", pure=True).load(path)
    except FileNotFoundError as error:
        raise ParamsError(f"there is no {path}; restore it with `git checkout {path}`") from error
    except (YAMLError, UnicodeDecodeError) as error:
        raise ParamsError(f"{path} is not valid YAML: {error}") from error
    try:
        return Params.model_validate(document)
    except ValidationError as error:
        lines = [_explain(dict(problem)) for problem in error.errors()]
        raise ParamsError(f"{path}: " + "; ".join(lines[:5])) from error


def _explain(problem: dict[str, object]) -> str:
    location = problem["loc"]
    assert isinstance(location, tuple)
    named, known = _walk(location)
    key = ".".join(map(str, named))
    if problem["type"] == "extra_forbidden":
        return f"{key} is unknown{_nearest(str(location[-1]), known)}"
    if problem["type"] == "missing":
        return f"{key} is missing; `git show HEAD:params.yaml` has an example of every key"
    message = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return f"{key}: {message}" if key else message
    if not location:
        return f"{message}, found {problem['input']!r}"
    return f"{key}: {message[0].lower()}{message[1:]}, found {problem['input']!r}"


def _nearest(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; expected {', '.join(known)}"


def _walk(location: tuple[str | int, ...]) -> tuple[list[str | int], list[str]]:
    """The keys of a location, without what pydantic adds for unions, and the keys known at its last one."""
    sections: list[type[Section]] = []
    named: list[str | int] = []
    annotation: object = Params
    for index, part in enumerate(location):
        sections = _sections(annotation) or sections
        fields = {f.alias or name: f for section in sections for name, f in section.model_fields.items()}
        if part in fields:
            annotation = fields[str(part)].annotation
        elif isinstance(part, str) and index + 1 < len(location) and _sections(annotation):
            continue  # a tag of a union
        elif part in {"list", "mapping"} or str(part).startswith(("literal[", "dict[")):
            continue
        else:
            annotation = None
        named.append(part)
    return named, [name for section in sections for name in section.model_fields]


def _sections(annotation: object) -> list[type[Section]]:
    """The sections that an annotation names, inside of unions and lists too."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]  # type: ignore[list-item]
    return [section for part in get_args(annotation) for section in _sections(part)]
