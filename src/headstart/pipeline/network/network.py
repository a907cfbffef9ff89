"""The network that the parameters ask for: new layers, trained layers, and the cut.

No tensor library is needed here: names, shapes and counts are known before any weights are loaded.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from headstart.errors import ModelError
from headstart.pipeline.network.heads import NewLayer, Replacement, nearest, parse_replacement, preset
from headstart.pipeline.network.kinds import BatchNorm1d, BatchNorm2d, Kind, Shape
from headstart.pipeline.network.settings import Backbone, Model
from headstart.pipeline.network.vgg import INPUT_SHAPE, Layer, named_tensors, vgg_layers

INPUT = "input"
BATCH_BYTES = 2**26
MOST_AT_ONCE = 256


@dataclass(frozen=True)
class NetworkSpec:
    """The full description of a network, stored in the files of features and head.

    Attributes:
        arch: torchvision's name, `vgg16` or `vgg16_bn`.
        width: channels of the first convolution, 64 for torchvision's network.
        head: a preset in `heads.HEADS`.
        classes: names of the outputs, in their order.
        hidden, dropout: options of the preset `mlp`.
        replace: new layers by the name of the layer or group that they replace, as written in params.yaml.
        train: names or prefixes of the layers that are trained in addition to the new ones.
    """

    arch: str
    width: int
    head: str
    classes: tuple[str, ...]
    hidden: tuple[int, ...] = ()
    dropout: float = 0.5
    replace: Mapping[str, Any] = field(default_factory=dict)
    train: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def network_spec(backbone: Backbone, model: Model, classes: tuple[str, ...]) -> NetworkSpec:
    """The network that params.yaml asks for, with these classes."""
    return NetworkSpec(
        arch=backbone.arch,
        width=backbone.width,
        classes=classes,
        head=model.head,
        hidden=tuple(model.hidden),
        dropout=model.dropout,
        replace=model.replace,
        train=tuple(model.train),
    )


def spec_of(metadata: Mapping[str, Any]) -> NetworkSpec:
    """The network that a features file or a head file was made for."""
    return NetworkSpec(
        arch=metadata["arch"],
        width=metadata["width"],
        head=metadata["head"],
        classes=tuple(metadata["classes"]),
        hidden=tuple(metadata["hidden"]),
        dropout=metadata["dropout"],
        replace=metadata["replace"],
        train=tuple(metadata["train"]),
    )


@dataclass(frozen=True)
class PlannedLayer(Layer):
    """A layer at its place in the network.

    Attributes:
        given, output: shapes of one image's input and output.
        is_new: the pretrained weights do not apply to it.
        is_trained: it receives gradients.
    """

    given: Shape
    output: Shape
    is_new: bool
    is_trained: bool

    @property
    def has_state(self) -> bool:
        return bool(self.kind.tensors())


@dataclass(frozen=True)
class Network:
    """A planned network.

    Attributes:
        layers: all layers, in the order they run.
        cut: number of layers before the cut.
    """

    layers: tuple[PlannedLayer, ...]
    cut: int

    @property
    def before(self) -> tuple[PlannedLayer, ...]:
        """The frozen layers before the cut."""
        return self.layers[: self.cut]

    @property
    def after(self) -> tuple[PlannedLayer, ...]:
        """The layers after the cut: those that learn, and frozen ones between them."""
        return self.layers[self.cut :]

    @property
    def cut_name(self) -> str:
        """The layer whose output is stored, or `input` if the first layer is trained."""
        return self.layers[self.cut - 1].name if self.cut else INPUT

    @property
    def feature_shape(self) -> Shape:
        """Shape of one image's activations at the cut."""
        return self.layers[self.cut - 1].output if self.cut else INPUT_SHAPE

    @property
    def eval_batch(self) -> int:
        """How many images the layers after the cut process at once, so that activations fit in memory."""
        largest = max(math.prod(layer.output) for layer in self.after)
        return max(1, min(MOST_AT_ONCE, BATCH_BYTES // (4 * max(largest, math.prod(self.feature_shape)))))

    @property
    def needs_rows(self) -> PlannedLayer | None:
        """A trained layer that cannot learn from one row: a batch norm of one value per channel."""
        return next(
            (
                layer
                for layer in self.after
                if layer.is_trained
                and isinstance(layer.kind, BatchNorm1d | BatchNorm2d)
                and math.prod(layer.given[1:]) == 1
            ),
            None,
        )

    @property
    def least_rows(self) -> int:
        """The smallest batch that the network can be trained on."""
        return 1 if self.needs_rows is None else 2

    def head_names(self) -> list[str]:
        """Names of the tensors in the head's file: those of new and trained layers."""
        return list(named_tensors([layer for layer in self.layers if layer.is_new or layer.is_trained]))

    @property
    def class_layer(self) -> str:
        """The layer whose outputs are the classes."""
        return next(layer.name for layer in reversed(self.layers) if layer.kind.parameters)


def plan(spec: NetworkSpec) -> Network:
    """Work out every layer's shape, what is trained, and the cut; no weights are touched.

    The cut is before the first layer that is trained, or that is new and either has tensors or behaves
    differently in training (dropout). Dropout layers right before that one move behind the cut too. Any
    other new layer, such as a pooling, is as frozen as the layers before it.

    Raises:
        ModelError: a name does not exist, a shape does not fit, or there are fewer than two classes.
    """
    if len(spec.classes) < 2:
        raise ModelError(f"a head needs at least two classes, found {list(spec.classes)}")
    slots = _slots(spec)
    trained = _trained(slots, spec.train)
    layers = _shaped(slots, trained, len(spec.classes))
    outputs = layers[-1].output
    if outputs != (len(spec.classes),):
        raise ModelError(
            f"{layers[-1].name}: the network ends with {_told(outputs)}, expected {len(spec.classes)}, one "
            f"per class ({', '.join(spec.classes[:5])}{', ...' if len(spec.classes) > 5 else ''}); write "
            "`linear: classes`"
        )
    return Network(tuple(layers), _cut(layers))


def stated_outputs(spec: NetworkSpec) -> int | None:
    """The number of classes that `model.replace` states for the last layer, if it states one."""
    last = _slots(spec)[-1].layer
    return last.outputs if isinstance(last, NewLayer) else None


@dataclass(frozen=True)
class _Slot:
    name: str
    layer: Kind | NewLayer

    @property
    def is_new(self) -> bool:
        return isinstance(self.layer, NewLayer)


def _slots(spec: NetworkSpec) -> list[_Slot]:
    slots = [_Slot(layer.name, layer.kind) for layer in vgg_layers(spec.arch, spec.width)]
    for name, replacement in preset(spec.head, spec.hidden, spec.dropout).items():
        slots = _replaced(slots, name, replacement)
    for name, value in spec.replace.items():
        slots = _replaced(slots, name, parse_replacement(name, value))
    return slots


def _replaced(slots: list[_Slot], name: str, replacement: Replacement) -> list[_Slot]:
    places = [index for index, slot in enumerate(slots) if is_within(slot.name, name)]
    if not places:
        raise ModelError(f"model.replace: there is no layer {name!r}{nearest(name, _names(slots))}")
    if replacement.is_sequence:
        new = [_Slot(f"{name}.{i}", layer) for i, layer in enumerate(replacement.layers)]
    else:
        new = [_Slot(name, replacement.layers[0])]
    return slots[: places[0]] + new + slots[places[-1] + 1 :]


def _trained(slots: Sequence[_Slot], names: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for name in names:
        named = [slot for slot in slots if is_within(slot.name, name)]
        if not named:
            raise ModelError(f"model.train: there is no layer {name!r}{nearest(name, _names(slots))}")
        learning = [
            slot.name
            for slot in named
            if slot.is_new or (isinstance(slot.layer, Kind) and slot.layer.parameters)
        ]
        if not learning:
            raise ModelError(f"model.train: {name} ({named[0].layer}) has no parameters to train")
        found.update(learning)
    return found


def _shaped(slots: Sequence[_Slot], trained: set[str], classes: int) -> list[PlannedLayer]:
    layers: list[PlannedLayer] = []
    shape: Shape = INPUT_SHAPE
    for slot in slots:
        try:
            kind = slot.layer.resolve(shape, classes) if isinstance(slot.layer, NewLayer) else slot.layer
            output = kind.output(shape)
        except ModelError as error:
            before = layers[-1].name if layers else INPUT
            advice = "" if slot.is_new else f"; replace {slot.name} too, or keep the output of {before}"
            raise ModelError(f"{slot.name} does not fit the output of {before}: {error}{advice}") from None
        is_trained = bool(kind.parameters) and (slot.is_new or slot.name in trained)
        layers.append(PlannedLayer(slot.name, kind, shape, output, slot.is_new, is_trained))
        shape = output
    return layers


def _cut(layers: Sequence[PlannedLayer]) -> int:
    cut = next(
        index
        for index, layer in enumerate(layers)
        if layer.is_trained or (layer.is_new and (layer.has_state or layer.kind.learns_batches))
    )
    while cut and layers[cut - 1].kind.learns_batches and not layers[cut - 1].has_state:
        cut -= 1
    return cut


def is_within(name: str, group: str) -> bool:
    """Whether a layer is the named one or belongs to the named group (`features.28` to `features`)."""
    return name == group or name.startswith(group + ".")


def _names(slots: Sequence[_Slot]) -> list[str]:
    groups: dict[str, None] = {}
    for slot in slots:
        parts = slot.name.split(".")
        for count in range(len(parts), 0, -1):
            groups.setdefault(".".join(parts[:count]))
    return list(groups)


def _told(shape: Shape) -> str:
    return f"{shape[0]} outputs" if len(shape) == 1 else f"maps {list(shape)}"
