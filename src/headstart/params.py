"""params.yaml, read and checked once: a missing key has its default, and an unknown one is an error."""

import difflib
import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, Field, ValidationError, model_validator
from ruamel.yaml import YAML

from headstart.errors import ParamsError, has_password
from headstart.ground.settings import Section
from headstart.ground.wording import named, shortened, shown
from headstart.pipeline.data.settings import Data, Split, Validate
from headstart.pipeline.evaluation.settings import Evaluate
from headstart.pipeline.features.settings import Features
from headstart.pipeline.inspection.settings import Inspect
from headstart.pipeline.network.settings import Backbone, Model
from headstart.pipeline.pixels.settings import Preprocess
from headstart.pipeline.training.settings import Train
from headstart.repository.settings import Repository
from headstart.versions.monitoring.settings import Monitor
from headstart.versions.release.settings import Gate, Register, Requirements
from headstart.versions.serving.settings import Serve

LONGEST_DEFAULT = 40  # characters of one in a message
MOST_DEFAULTS = 6  # named in a message


class Params(Section):
    """All of params.yaml."""

    data: Data = Data()
    backbone: Backbone = Backbone()
    validate_: Validate = Field(default=Validate(), alias="validate")
    split: Split = Split()
    preprocess: Preprocess = Preprocess()
    model: Model = Model()
    features: Features = Features()
    inspect_: Inspect = Field(default=Inspect(), alias="inspect")
    train: Train = Train()
    evaluate: Evaluate = Evaluate()
    register_: Register = Field(default=Register(), alias="register")
    gate: Gate = Gate()
    serve: Serve = Serve()
    monitor: Monitor = Monitor()
    repository: Repository = Repository()

    @property
    def requirements(self) -> Requirements:
        """All that a version must meet to pass the gate."""
        return Requirements(self.register_.thresholds, self.gate)

    def section(self, name: str) -> Section:
        """A section by its name in params.yaml."""
        fields = type(self).model_fields.items()
        section: Section = getattr(self, next(key for key, field in fields if (field.alias or key) == name))
        return section

    @model_validator(mode="after")
    def _weights_get_their_own_transform(self) -> "Params":
        weights = self.backbone.weights
        if weights.startswith("IMAGENET") and weights != self.preprocess.weights:
            raise ValueError(
                f"backbone.weights {weights} needs images as preprocess.weights {weights} prepares them"
            )
        return self


def load_params(path: Path) -> Params:
    """Read params.yaml; keys that are missing, and sections that are missing or null, have their defaults.

    All but `backbone.weights`: random ones are a choice that somebody has to make.

    Raises:
        ParamsError: the file is missing or not YAML, keys are unknown or wrong (first 5 named), or
            `backbone.weights` is missing.
    """
    try:
        # YAML 1.2, as in DVC, so that `1e-3` is a number.
        document = YAML(typ="safe", pure=True).load(path)
    except FileNotFoundError as error:
        raise ParamsError(f"there is no {path}; restore it with `git checkout {path}`") from error
    except Exception as error:  # a value raises whatever its type makes of it, such as a 13th month
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else shortened(str(error))
        advice = "correct it, or restore it with `git checkout`"
        raise ParamsError(f"{path} is not valid YAML: {reason}; {advice}") from error
    try:
        params = Params.model_validate(_without_null_sections({} if document is None else document, Params))
    except ValidationError as error:
        lines = [_explain(dict(problem), document) for problem in error.errors()]
        raise ParamsError(f"{path}: " + "; ".join(lines[:5])) from error
    if "weights" not in params.backbone.model_fields_set:
        raise ParamsError(
            f"{path}: backbone.weights is missing, and which weights are frozen is never assumed: name "
            "IMAGENET1K_V1, a file, or random, which was never trained"
        )
    # Of the checked values: what aliases of YAML stand for may be of any size.
    texts = _texts(params.model_dump(by_alias=True))
    if open_ones := [key for key, value in texts if has_password(value)]:
        raise ParamsError(
            f"{path}: {', '.join(open_ones)} holds a password, and this file is committed and recorded with "
            "every version; name the address alone, and keep the password in ~/.netrc, an SSH key or the "
            "environment"
        )
    return params


def overridden(params: Params, changes: Mapping[str, Mapping[str, object]]) -> Params:
    """A copy with other values for some keys, by section, checked as those of the file are.

    Raises:
        ParamsError: a value is wrong (first 5 named).
    """
    known = {field.alias or name: getattr(params, name) for name, field in Params.model_fields.items()}
    document = known | {name: {**dict(known[name]), **keys} for name, keys in changes.items()}
    try:
        return Params.model_validate(document)
    except ValidationError as error:
        raise ParamsError(
            "; ".join(_explain(dict(problem), document) for problem in error.errors()[:5])
        ) from error


def note_on_defaults(path: Path, params: Params, sections: Collection[str] | None = None) -> str | None:
    """A sentence that names the keys which a file lacks, and their defaults; None if it lacks none.

    Args:
        path: the file that `params` were read from.
        sections: names of the sections that are looked at; all by default.
    """
    found = [
        f"{key} ({_as_text(default)})"
        for key, default in params.lacking().items()
        if sections is None or key.split(".")[0] in sections
    ]
    if not found:
        return None
    keys = named(found, MOST_DEFAULTS)
    return f"{path} lacks {keys}: these defaults are used; `headstart upgrade` adds them"


def _as_text(default: object) -> str:
    if isinstance(default, Section):
        return "the whole section"
    text = json.dumps(default)
    return text if len(text) <= LONGEST_DEFAULT else f"{text[:LONGEST_DEFAULT]}..."


def _without_null_sections(document: Any, section: type[Section]) -> Any:
    """The document without those sections that are null, such as a heading with nothing below it."""
    if not isinstance(document, Mapping):
        return document
    inner = section.subsections()
    return {
        key: _without_null_sections(value, inner[key]) if key in inner else value
        for key, value in document.items()
        if key not in inner or value is not None
    }


def _texts(value: object, key: str = "") -> Iterator[tuple[str, str]]:
    """Every text of a document, by its dotted key."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for name, part in value.items():
            yield from _texts(part, f"{key}.{name}".lstrip("."))
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part, key)


def _explain(problem: dict[str, object], document: object) -> str:
    location = problem["loc"]
    assert isinstance(location, tuple)
    named, known = _walk(location)
    key = shortened(".".join(map(str, named)))
    if problem["type"] == "extra_forbidden":
        return f"{key} is unknown{_nearest(shortened(str(location[-1])), known)}"
    if problem["type"] == "missing":
        return f"{key} is missing"
    message = shortened(str(problem["msg"]).removeprefix("Value error, "))
    if problem["type"] == "value_error":
        return f"{key}: {message}{_of_defaults(key, document)}" if key else message
    if not location:
        return f"{message}, found {shown(problem['input'])}"
    return f"{key}: {message[0].lower()}{message[1:]}, found {shown(problem['input'])}"


def _of_defaults(key: str, document: object) -> str:
    """The defaults that took part in an error about a section, if it lacks keys."""
    section = Params.subsections().get(key)
    given = document.get(key) if isinstance(document, dict) else None
    if section is None or not isinstance(given, dict):
        return ""
    missing = [
        f"{name} {_as_text(field.default)}"
        for name, field in section.model_fields.items()
        if name not in given
    ]
    return f" (by default: {named(missing)})" if missing else ""


def _nearest(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; expected {', '.join(known)}"


def _walk(location: tuple[str | int, ...]) -> tuple[list[str | int], list[str]]:
    """The keys of a location, without pydantic's additions for unions, and the keys allowed at its end."""
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
    return named, [
        field.alias or name for section in sections for name, field in section.model_fields.items()
    ]


def _sections(annotation: object) -> list[type[Section]]:
    """The sections that an annotation names, also inside unions and lists."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]  # type: ignore[list-item]
    return [section for part in get_args(annotation) for section in _sections(part)]
