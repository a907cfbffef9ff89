"""New layers as params.yaml writes them: `model.replace`, and the presets of `model.head`."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headstart.errors import ModelError
from headstart.ground.wording import shortened, shown
from headstart.pipeline.network import kinds
from headstart.pipeline.network.kinds import Kind, Shape

CLASSES = "classes"  # as many outputs as there are classes
LINEAR, POOLED, MLP = "linear", "pooled", "mlp"
HEADS = (LINEAR, POOLED, MLP)

# Kind -> the name of its main value (None: it has none) and of its other options.
SYNTAX: dict[str, tuple[str | None, tuple[str, ...]]] = {
    "linear": ("outputs", ("inputs",)),
    "conv": ("outputs", ("inputs", "kernel", "stride", "padding")),
    "dropout": ("p", ()),
    "relu": (None, ()),
    "identity": (None, ()),
    "flatten": (None, ()),
    "standardize": (None, ("inputs",)),
    "batchnorm": (None, ("inputs",)),
    "avgpool": ("size", ()),
    "maxpool": ("size", ()),
}


@dataclass(frozen=True)
class NewLayer:
    """A layer that replaces another; its input shape is only known once it is in the network.

    Attributes:
        kind: a key of `SYNTAX`.
        options: its values by name, including `inputs` if params.yaml states it, which is then checked.
    """

    kind: str
    options: dict[str, Any]

    def resolve(self, given: Shape, classes: int) -> Kind:
        """The layer for a given input shape.

        Raises:
            ModelError: it does not accept that shape.
        """
        options = self.options
        inputs = options.get("inputs", given[0])
        outputs = classes if options.get("outputs") == CLASSES else options.get("outputs")
        if self.kind == "linear":
            if len(given) != 1:
                raise ModelError(
                    f"a linear layer expects numbers, got maps {list(given)}; flatten them first"
                )
            return kinds.Linear(inputs, int(outputs or classes))
        if self.kind == "conv":
            kernel = options.get("kernel", 3)
            padding = options.get("padding", kernel // 2)
            return kinds.Conv2d(inputs, int(outputs or 0), kernel, options.get("stride", 1), padding)
        if self.kind == "batchnorm":
            return (kinds.BatchNorm2d if len(given) == 3 else kinds.BatchNorm1d)(inputs)
        if self.kind == "standardize":
            return kinds.Standardize(inputs)
        if self.kind == "dropout":
            return kinds.Dropout(options.get("p", 0.5))
        if self.kind == "avgpool":
            return kinds.AdaptiveAvgPool2d(options.get("size", 7))
        if self.kind == "maxpool":
            return kinds.MaxPool2d(options.get("size", 2))
        return {"relu": kinds.ReLU, "identity": kinds.Identity, "flatten": kinds.Flatten}[self.kind]()

    @property
    def outputs(self) -> int | None:
        """The number of outputs if params.yaml states one; None means one per class."""
        found = self.options.get("outputs")
        return found if isinstance(found, int) else None


@dataclass(frozen=True)
class Replacement:
    """The replacement of a layer or group of layers: one layer, or several in a row."""

    layers: tuple[NewLayer, ...]
    is_sequence: bool


def preset(head: str, hidden: Sequence[int], dropout: float) -> dict[str, Replacement]:
    """A preset of `model.head`, expressed as a `model.replace`.

    Args:
        head: `linear`, as in the original article; `mlp`, hidden layers in place of `classifier.6`;
            `pooled`, a light head on the averaged output of the convolutions.
        hidden, dropout: options of `mlp`: the widths of its hidden layers, and the dropout rate after each.

    Raises:
        ModelError: there is no such preset, or `mlp` has no widths.
    """
    if head == LINEAR:
        return {"classifier.6": parse_replacement("classifier.6", "linear")}
    if head == POOLED:
        return {
            "avgpool": parse_replacement("avgpool", {"avgpool": 1}),
            "classifier": parse_replacement("classifier", ["standardize", "linear"]),
        }
    if head == MLP:
        if not hidden:
            raise ModelError("model.hidden: the head mlp needs at least one width, such as [256]")
        layers: list[Any] = []
        for width in hidden:
            layers += [{"linear": width}, "relu", {"dropout": dropout}]
        return {"classifier.6": parse_replacement("classifier.6", [*layers, "linear"])}
    raise ModelError(f"model.head: {head!r} is unknown; expected one of {', '.join(HEADS)}")


def parse_replacement(name: str, value: Any) -> Replacement:
    """One value of `model.replace`: `relu`, `{linear: 512}`, or a list of these.

    Raises:
        ModelError: it is none of these; the message names the key.
    """
    key = f"model.replace.{name}"
    if isinstance(value, list):
        if not value:
            raise ModelError(f"{key}: the list is empty; use `identity` to leave a layer out")
        return Replacement(tuple(_parse(f"{key}[{i}]", item) for i, item in enumerate(value)), True)
    return Replacement((_parse(key, value),), False)


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean a, b?` with the known names that are closest to a wrong one."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f"; did you mean {', '.join(close)}?" if close else f"; expected one of {', '.join(known[:12])}"


def _parse(key: str, value: Any) -> NewLayer:
    if isinstance(value, str):
        value = {value: None}
    if not isinstance(value, Mapping) or not value:
        raise ModelError(
            f"{key}: expected a kind of layer such as `relu` or `{{linear: 512}}`, found {shown(value)}"
        )
    given = dict(value)
    unknown = [name for name in given if name not in SYNTAX]
    kind = next((str(name) for name in given if name in SYNTAX), "")
    if not kind:
        raise ModelError(
            f"{key}: {shown(unknown[0])} is not a kind of layer{nearest(shortened(str(unknown[0])), SYNTAX)}"
        )
    main, others = SYNTAX[kind]
    options: dict[str, Any] = {}
    value_of_kind = given.pop(kind)
    if value_of_kind is not None and main is None and value_of_kind is not True:
        raise ModelError(f"{key}: {kind} takes no value, found {shown(value_of_kind)}")
    if value_of_kind is not None and main is not None:
        options[main] = _checked(f"{key}.{kind}", main, value_of_kind)
    if kind == "conv" and "outputs" not in options:
        raise ModelError(f"{key}: a conv layer needs its number of outputs: {{conv: 512}}")
    for option, found in given.items():
        if option not in others:
            meant = nearest(shortened(str(option)), others or ("none",))
            raise ModelError(f"{key}: {kind} has no option {shown(option)}{meant}")
        options[option] = _checked(f"{key}.{option}", option, found)
    return NewLayer(kind, options)


def _checked(key: str, option: str, value: Any) -> Any:
    if option == "p":
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1:
            return float(value)
        raise ModelError(f"{key}: expected a share from 0 to less than 1, found {shown(value)}")
    if option == "outputs" and value == CLASSES:
        return value
    least = 0 if option == "padding" else 1
    if isinstance(value, int) and not isinstance(value, bool) and value >= least:
        return value
    also = f" or `{CLASSES}`" if option == "outputs" else ""
    raise ModelError(f"{key}: expected a whole number of at least {least}{also}, found {shown(value)}")
