"""torchvision's networks as lists of layers, and random weights with the same bytes everywhere."""

import pytest
import torch
from torchvision import models

from headstart.errors import ModelError
from headstart.pipeline.network import checkpoint
from headstart.pipeline.network.modules import Chain
from headstart.pipeline.network.vgg import architectures, named_tensors, vgg_layers
from headstart.pipeline.network.weights import random_tensors


@pytest.mark.parametrize("arch", architectures())
def test_names_and_shapes_are_torchvisions(arch: str) -> None:
    with torch.device("meta"):
        theirs = models.get_model(arch, weights=None, init_weights=False).state_dict()
    ours = named_tensors(vgg_layers(arch))
    assert {name: t.shape for name, t in ours.items()} == {name: t.shape for name, t in theirs.items()}
    assert list(ours) == list(theirs)


@pytest.mark.parametrize("arch", ["vgg11", "vgg16_bn"])
def test_the_chain_computes_what_torchvisions_forward_computes(arch: str) -> None:
    torch.manual_seed(0)
    model = models.get_model(arch, weights=None, init_weights=False).eval()
    chain = Chain(vgg_layers(arch)).eval()
    chain.load(model.state_dict())
    images = torch.randn(2, 3, 224, 224)
    with torch.inference_mode():
        assert torch.equal(chain(images), model(images))


def test_random_weights_have_the_same_bytes_everywhere() -> None:
    digests = [
        checkpoint.digest(dict(random_tensors(vgg_layers(arch, width), seed)))
        for arch, width, seed in [("vgg16", 8, 0), ("vgg16", 8, 1), ("vgg16_bn", 4, 0)]
    ]
    assert digests == GOLDEN


def test_random_weights_keep_the_size_of_signals() -> None:
    chain = Chain(vgg_layers("vgg16", 16)[:31]).eval()
    chain.load(dict(random_tensors(vgg_layers("vgg16", 16), 0)))
    with torch.inference_mode():
        out = chain(torch.randn(2, 3, 224, 224))
    assert 0.05 < out.std() < 20


def test_a_narrow_network_has_the_same_layer_names() -> None:
    assert [layer.name for layer in vgg_layers("vgg16", 4)] == [layer.name for layer in vgg_layers("vgg16")]


@pytest.mark.parametrize(("arch", "width"), [("resnet18", 64), ("vgg16", 0), ("vgg16", 48)])
def test_what_cannot_be_built_is_an_error(arch: str, width: int) -> None:
    with pytest.raises(ModelError, match="expected"):
        vgg_layers(arch, width)


GOLDEN = [
    "05c3636fb8bd0f2a4bb26eac16cd583a1711fda8c4374d28c35a57af988f2594",
    "507bc752283572cee045ce635e8f41de6f808869cf4fb2aaf9a47a6686afc2aa",
    "f28f08e695646a66048f857da8ab4bb08fa9140790200521e9f8d76eb17520d0",
]
