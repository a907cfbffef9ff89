"""torchvision's VGGs as flat lists of named layers: structure without weights."""

from dataclasses import dataclass

from headstart.errors import ModelError
from headstart.pipeline.network import kinds
from headstart.pipeline.network.kinds import Kind, TensorKind

STANDARD_WIDTH = 64
INPUT_SHAPE = (3, 224, 224)
OUTPUTS = 1000


@dataclass(frozen=True)
class Layer:
    """One layer, named as torchvision names it (`features.0`, `avgpool`, `classifier.6`)."""

    name: str
    kind: Kind


# Channels of the convolutions as multiples of the first one's, and "M" for a pooling: configurations A,
# B, D and E of Simonyan and Zisserman 2015, arXiv:1409.1556. torchvision builds the same networks, but
# importing it takes 3.5 s, and most commands do not need it for anything else.
CONVOLUTIONS = {
    "vgg11": "1 M 2 M 4 4 M 8 8 M 8 8 M",
    "vgg13": "1 1 M 2 2 M 4 4 M 8 8 M 8 8 M",
    "vgg16": "1 1 M 2 2 M 4 4 4 M 8 8 8 M 8 8 8 M",
    "vgg19": "1 1 M 2 2 M 4 4 4 4 M 8 8 8 8 M 8 8 8 8 M",
}
BATCH_NORM = "_bn"


def architectures() -> tuple[str, ...]:
    """Names of torchvision's VGGs."""
    return tuple(sorted([*CONVOLUTIONS, *(name + BATCH_NORM for name in CONVOLUTIONS)]))


def vgg_layers(arch: str, width: int = STANDARD_WIDTH) -> list[Layer]:
    """The layers of a VGG in the order they run.

    Args:
        arch: a name in `architectures()`.
        width: channels of the first convolution; 64 is torchvision's network, a smaller value keeps
            every layer's name and narrows all layers by the same factor.

    Raises:
        ModelError: the architecture is unknown, or the width does not divide 64.
    """
    if arch not in architectures():
        raise ModelError(
            f"backbone.arch: {arch!r} is not a VGG of torchvision; "
            f"expected one of {', '.join(architectures())}"
        )
    if width < 1 or STANDARD_WIDTH % width:
        raise ModelError(
            f"backbone.width: {width} does not divide {STANDARD_WIDTH}; "
            f"expected {STANDARD_WIDTH} (torchvision's network), or 32, 16, 8, 4, 2, 1"
        )
    return [
        *numbered("features", _convolutions(arch, width)),
        Layer("avgpool", kinds.AdaptiveAvgPool2d(7)),
        Layer("flatten", kinds.Flatten()),
        *numbered("classifier", _classifier(width)),
    ]


def named_tensors(layers: list[Layer]) -> dict[str, TensorKind]:
    """Parameters and buffers by torchvision's names, in the order of `state_dict`."""
    return {
        f"{layer.name}.{name}": tensor for layer in layers for name, tensor in layer.kind.tensors().items()
    }


def numbered(name: str, layers: list[Kind]) -> list[Layer]:
    """`name.0`, `name.1`, ... as in an `nn.Sequential` of that name."""
    return [Layer(f"{name}.{number}", kind) for number, kind in enumerate(layers)]


def _convolutions(arch: str, width: int) -> list[Kind]:
    layers: list[Kind] = []
    inputs = 3
    for item in CONVOLUTIONS[arch.removesuffix(BATCH_NORM)].split():
        if item == "M":
            layers.append(kinds.MaxPool2d())
            continue
        outputs = int(item) * width
        layers.append(kinds.Conv2d(inputs, outputs))
        if arch.endswith(BATCH_NORM):
            layers.append(kinds.BatchNorm2d(outputs))
        layers.append(kinds.ReLU())
        inputs = outputs
    return layers


def _classifier(width: int) -> list[Kind]:
    hidden = 64 * width
    return [
        kinds.Linear(8 * width * 7 * 7, hidden),
        kinds.ReLU(),
        kinds.Dropout(),
        kinds.Linear(hidden, hidden),
        kinds.ReLU(),
        kinds.Dropout(),
        kinds.Linear(hidden, OUTPUTS),
    ]
