"""The kinds of layers: their shapes, tensors and cost, without a tensor library."""

import math
from dataclasses import dataclass
from typing import ClassVar

from headstart.errors import ModelError

Shape = tuple[int, ...]


@dataclass(frozen=True)
class TensorKind:
    """One tensor of a layer: its shape, whether it is learned, and whether it is an int64 count."""

    shape: Shape
    is_parameter: bool = True
    is_count: bool = False


@dataclass(frozen=True)
class Kind:
    """A kind of layer with its sizes, but without a name in the network."""

    learns_batches: ClassVar[bool] = False  # behaves differently in train and eval mode

    def output(self, given: Shape) -> Shape:
        """Shape of one image's output.

        Raises:
            ModelError: the layer does not accept this input.
        """
        return given

    def tensors(self) -> dict[str, TensorKind]:
        """Parameters and buffers, in the order of torch's `state_dict`."""
        return {}

    def flops(self, output: Shape) -> int:
        """Multiplications and additions per image, counting only matrix products and convolutions."""
        return 0

    @property
    def parameters(self) -> int:
        """Number of learnable values."""
        return sum(math.prod(t.shape) for t in self.tensors().values() if t.is_parameter)

    def __str__(self) -> str:
        return type(self).__name__


@dataclass(frozen=True)
class Conv2d(Kind):
    inputs: int
    outputs: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1

    def output(self, given: Shape) -> Shape:
        _expect_maps(given)
        _expect(given[0], self.inputs, "channels")
        size = [(side + 2 * self.padding - self.kernel) // self.stride + 1 for side in given[1:]]
        if min(size) < 1:
            raise ModelError(f"maps of {given[1]}x{given[2]} are too small for it")
        return (self.outputs, *size)

    def tensors(self) -> dict[str, TensorKind]:
        weight = (self.outputs, self.inputs, self.kernel, self.kernel)
        return {"weight": TensorKind(weight), "bias": TensorKind((self.outputs,))}

    def flops(self, output: Shape) -> int:
        return 2 * math.prod(output) * self.inputs * self.kernel**2

    def __str__(self) -> str:
        extra = f", stride {self.stride}" if self.stride != 1 else ""
        return f"Conv2d({self.inputs}, {self.outputs}, {self.kernel}x{self.kernel}{extra})"


@dataclass(frozen=True)
class BatchNorm2d(Kind):
    learns_batches: ClassVar[bool] = True
    channels: int

    def output(self, given: Shape) -> Shape:
        _expect_maps(given)
        _expect(given[0], self.channels, "channels")
        return given

    def tensors(self) -> dict[str, TensorKind]:
        return _norm_tensors(self.channels)

    def __str__(self) -> str:
        return f"BatchNorm2d({self.channels})"


@dataclass(frozen=True)
class BatchNorm1d(Kind):
    learns_batches: ClassVar[bool] = True
    channels: int

    def output(self, given: Shape) -> Shape:
        _expect_features(given, self.channels)
        return given

    def tensors(self) -> dict[str, TensorKind]:
        return _norm_tensors(self.channels)

    def __str__(self) -> str:
        return f"BatchNorm1d({self.channels})"


@dataclass(frozen=True)
class ReLU(Kind):
    pass


@dataclass(frozen=True)
class Identity(Kind):
    pass


@dataclass(frozen=True)
class Dropout(Kind):
    learns_batches: ClassVar[bool] = True
    p: float = 0.5

    def __str__(self) -> str:
        return f"Dropout({self.p:g})"


@dataclass(frozen=True)
class MaxPool2d(Kind):
    size: int = 2

    def output(self, given: Shape) -> Shape:
        _expect_maps(given)
        if min(given[1:]) < self.size:
            raise ModelError(f"maps of {given[1]}x{given[2]} are too small for it")
        return (given[0], given[1] // self.size, given[2] // self.size)

    def __str__(self) -> str:
        return f"MaxPool2d({self.size})"


@dataclass(frozen=True)
class AdaptiveAvgPool2d(Kind):
    size: int

    def output(self, given: Shape) -> Shape:
        _expect_maps(given)
        return (given[0], self.size, self.size)

    def __str__(self) -> str:
        return f"AdaptiveAvgPool2d({self.size})"


@dataclass(frozen=True)
class Flatten(Kind):
    def output(self, given: Shape) -> Shape:
        return (math.prod(given),)


@dataclass(frozen=True)
class Standardize(Kind):
    """(x - mean) * scale per channel; both are fitted on the training features, not learned."""

    channels: int

    def output(self, given: Shape) -> Shape:
        _expect_features(given, self.channels)
        return given

    def tensors(self) -> dict[str, TensorKind]:
        fitted = TensorKind((self.channels,), is_parameter=False)
        return {"mean": fitted, "scale": fitted}

    def __str__(self) -> str:
        return f"Standardize({self.channels})"


@dataclass(frozen=True)
class Linear(Kind):
    inputs: int
    outputs: int

    def output(self, given: Shape) -> Shape:
        _expect_features(given, self.inputs)
        return (self.outputs,)

    def tensors(self) -> dict[str, TensorKind]:
        return {"weight": TensorKind((self.outputs, self.inputs)), "bias": TensorKind((self.outputs,))}

    def flops(self, output: Shape) -> int:
        return 2 * self.inputs * self.outputs

    def __str__(self) -> str:
        return f"Linear({self.inputs}, {self.outputs})"


def _norm_tensors(channels: int) -> dict[str, TensorKind]:
    learned, fitted = TensorKind((channels,)), TensorKind((channels,), is_parameter=False)
    return {
        "weight": learned,
        "bias": learned,
        "running_mean": fitted,
        "running_var": fitted,
        "num_batches_tracked": TensorKind((), is_parameter=False, is_count=True),
    }


def _expect_maps(given: Shape) -> None:
    if len(given) != 3:
        raise ModelError(f"it expects maps [channels, height, width], got {_numbers(given)}")


def _expect_features(given: Shape, inputs: int) -> None:
    if len(given) != 1:
        raise ModelError(f"it expects {inputs} numbers, got maps {list(given)}; flatten them first")
    _expect(given[0], inputs, "numbers")


def _expect(found: int, expected: int, what: str) -> None:
    if found != expected:
        raise ModelError(f"it expects {expected} {what}, got {found}")


def _numbers(given: Shape) -> str:
    return f"{given[0]} numbers" if len(given) == 1 else str(list(given))
