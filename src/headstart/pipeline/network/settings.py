"""Sections `backbone` and `model` of params.yaml."""

from typing import Annotated, Any

from pydantic import Field, model_validator

from headstart.ground.settings import Count, Rate, Section, Seed, Share


class Backbone(Section):
    """Section `backbone`: the pretrained network and the source of its weights."""

    arch: str = "vgg16"
    """torchvision's name of the network"""
    weights: str = "random"
    """`random`, a name of torchvision's weights, or the path of a .pth or .safetensors file"""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")] | None = None
    """SHA-256 digest of that file; None leaves it unchecked"""
    seed: Seed = 0
    """seed of random weights"""
    width: Count = 64
    """channels of the first convolution; torchvision's is 64"""


class Model(Section):
    """Section `model`: which layers are new, and which are trained."""

    head: str = "pooled"
    """preset of the new layers: `linear`, `mlp` or `pooled`"""
    hidden: list[Count] = Field(default=[256])
    """sizes of the hidden layers of `mlp`"""
    dropout: Rate = 0.5
    """dropout rate after each hidden layer of `mlp`"""
    replace: dict[str, Any] = Field(default={})
    """new layers by the name of the layer or group that they replace"""
    train: list[str] = Field(default=[])
    """names, or prefixes of names, of layers to train besides the new ones"""


class Abstain(Section):
    """When a head gives no label: one of the two is set."""

    confidence: Share | None = None
    """an image of less confidence is refused"""
    rate: Rate | None = None
    """share of the validation images to refuse, from which the confidence is chosen"""

    @model_validator(mode="after")
    def _one_is_set(self) -> "Abstain":
        if (self.confidence is None) == (self.rate is None):
            raise ValueError("abstain takes either confidence or rate, such as {rate: 0.05}")
        return self
