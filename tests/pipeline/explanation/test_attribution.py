"""Maps show the evidence: on pictures where it is known, for the head and the class that are asked for."""

import copy
import io
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from PIL import Image

from headstart.errors import ModelError
from headstart.pipeline.explanation.attribution import Attribution, last_maps
from headstart.pipeline.explanation.overlay import overlay_jpeg
from headstart.pipeline.network.modules import Standardize, head_of, prefix_of
from headstart.pipeline.network.network import NetworkSpec, plan
from headstart.pipeline.network.vgg import vgg_layers
from headstart.pipeline.network.weights import initial_tensors, random_tensors
from headstart.pipeline.pixels.transforms import normalise, transform_of

SIDE = 48  # pixels of the patch that makes a picture one of class "patch"
# One convolution, untrained: what it sees of a place is that place, and not half of the picture.
SHALLOW = NetworkSpec(
    "vgg11",
    4,
    "pooled",
    ("plain", "patch"),
    replace={"features": [{"conv": 32, "kernel": 7, "stride": 4}, "relu", {"maxpool": 2}]},
)
SPECS = {
    "pooled": NetworkSpec("vgg16", 4, "pooled", ("plain", "patch")),
    "vgg16_bn": NetworkSpec("vgg16_bn", 4, "pooled", ("plain", "patch")),
    "linear": NetworkSpec("vgg11", 4, "linear", ("plain", "patch")),
    "mlp": NetworkSpec("vgg11", 4, "mlp", ("plain", "patch"), hidden=(16,)),
    "last convolution trained": NetworkSpec("vgg16", 4, "pooled", ("plain", "patch"), train=("features.28",)),
    "all trained": NetworkSpec(
        "vgg11", 4, "pooled", ("plain", "patch"), train=("features",), replace={"features.18": {"conv": 24}}
    ),
    "seven classes": NetworkSpec("vgg11", 4, "pooled", tuple("abcdefg")),
}


def attribution_of(spec: NetworkSpec, seed: int = 0) -> Attribution:
    network = plan(spec)
    tensors = dict(random_tensors(vgg_layers(spec.arch, spec.width), seed))
    tensors |= initial_tensors([layer for layer in network.layers if layer.is_new], seed)
    prefix, head = prefix_of(network), head_of(network)
    prefix.load(tensors)
    head.load(tensors)
    head.eval().requires_grad_(False)
    return Attribution(network, prefix, head, spec.arch, "IMAGENET1K_V1", "fp32")


def pictures(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Grey noise, with a fine chequered patch of equal mean in each: pixels, and masks of the patches."""
    random = np.random.default_rng(seed)
    pixels = random.normal(120, 12, (count, 224, 224, 3))
    masks = np.zeros((count, 224, 224), bool)
    chequered = 60 * (1 - 2 * (np.indices((SIDE, SIDE)) // 4).sum(0) % 2)[:, :, None]
    for picture, mask in zip(pixels, masks, strict=True):
        top, left = random.integers(0, 224 - SIDE, 2)
        picture[top : top + SIDE, left : left + SIDE] += chequered
        mask[top : top + SIDE, left : left + SIDE] = True
    return pixels.clip(0, 255).astype(np.uint8), masks


def logits(given: Attribution, pixels: np.ndarray) -> torch.Tensor:
    rows = normalise(torch.from_numpy(pixels), transform_of(given.arch, given.transform))
    return given.head(given.prefix(rows))


@cache
def trained() -> Attribution:
    """A head that separates patched pictures from plain ones, trained on 80 of them."""
    given = attribution_of(SHALLOW)
    random = np.random.default_rng(5)
    plain = random.normal(120, 12, (40, 224, 224, 3)).clip(0, 255).astype(np.uint8)
    pixels = np.concatenate([plain, pictures(40, 6)[0]])
    inputs = normalise(torch.from_numpy(pixels), transform_of(given.arch, given.transform))
    rows = given.head.part(0, -2)(inputs)
    labels = torch.tensor([0] * 40 + [1] * 40)
    standardize, linear = given.head.body[-2:]
    assert isinstance(standardize, Standardize)
    standardize.mean.copy_(rows.mean(0))
    standardize.scale.copy_(1 / rows.std(0).clamp(min=1e-6))
    linear.requires_grad_(True)
    optimizer = torch.optim.Adam(linear.parameters(), lr=0.01)
    for _ in range(200):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(linear(standardize(rows)), labels).backward()
        optimizer.step()
    linear.requires_grad_(False)
    assert (given.head(inputs).argmax(1) == labels).float().mean() > 0.95
    return given


def mass_within(maps: np.ndarray, masks: np.ndarray) -> float:
    return float((maps * masks).sum() / maps.sum())


def test_the_evidence_is_where_it_was_put() -> None:
    pixels, masks = pictures(16, 7)
    maps = trained().maps(pixels, np.ones(16, np.int64))
    assert mass_within(maps, masks) > 5 * masks.mean()
    against = trained().maps(pixels, np.zeros(16, np.int64))
    assert mass_within(against, masks) < masks.mean() / 5


def test_another_head_or_another_class_gives_another_map() -> None:
    """J. Adebayo et al., Sanity checks for saliency maps, NeurIPS 2018: the randomisation of parameters."""
    pixels, masks = pictures(16, 8)
    given, ones = trained(), np.ones(16, np.int64)
    maps = given.maps(pixels, ones)
    other = copy.deepcopy(given.head)
    other.load({**other.tensors(), **initial_tensors([given.network.layers[-1]], 3)})
    elsewhere = replace(given, head=other).maps(pixels, ones)
    assert mass_within(elsewhere, masks) < mass_within(maps, masks) / 2
    alike = [np.corrcoef(one.ravel(), two.ravel())[0, 1] for one, two in zip(maps, elsewhere, strict=True)]
    assert np.mean(alike) < 0.5
    # of two classes, what counts for one counts against the other
    assert np.allclose(given.contributions(pixels, ones), -given.contributions(pixels, 0 * ones), atol=1e-4)


@pytest.mark.parametrize("name", SPECS)
def test_every_network_has_maps_the_same_ones_for_the_same_pictures(name: str) -> None:
    given = attribution_of(SPECS[name])
    pixels, _ = pictures(5, 1)
    classes = np.array([0, 1, 0, 1, 1])
    maps = given.maps(pixels, classes)
    assert maps.shape == (5, 224, 224)
    assert maps.dtype == np.float32
    assert maps.min() >= 0
    assert set(maps.max((1, 2)).tolist()) <= {0.0, 1.0}
    assert maps.any()
    assert np.array_equal(maps, given.maps(pixels, classes))
    assert np.array_equal(given.maps(pixels[2:4], classes[2:4]), maps[2:4])


def test_the_places_add_up_to_what_the_picture_changes() -> None:
    """With two classes and the head `pooled`, log-odds are linear in the maps."""
    given = trained()
    pixels, _ = pictures(6, 2)
    outputs = logits(given, pixels)
    first = given.head.part(0, 2)
    empty = given.head.part(2, None)(torch.zeros_like(first(torch.zeros(1, 3, 224, 224))))
    changed = (outputs[:, 1] - outputs[:, 0]) - (empty[:, 1] - empty[:, 0])
    found = given.contributions(pixels, np.ones(6, np.int64)).sum((1, 2))
    assert np.allclose(found, changed.numpy(), rtol=1e-3, atol=1e-3)


def test_the_maps_are_those_of_the_last_convolution_with_its_norm_and_relu() -> None:
    for name, spec in SPECS.items():
        network = plan(spec)
        assert network.layers[last_maps(network) - 1].output[1:] == (14, 14), name
        assert str(network.layers[last_maps(network)].kind).startswith("MaxPool2d"), name


def test_a_network_without_maps_is_an_error() -> None:
    spec = NetworkSpec("vgg11", 4, "linear", ("a", "b"), replace={"features": {"avgpool": 7}})
    spec = replace(spec, replace={**spec.replace, "classifier": ["linear"]})
    with pytest.raises(ModelError, match="no convolution"):
        last_maps(plan(spec))


def test_the_overlay_is_bright_where_the_evidence_is_and_grey_elsewhere() -> None:
    pixels = np.full((224, 224, 3), (40, 90, 160), np.uint8)
    evidence = np.zeros((224, 224), np.float32)
    evidence[60:120, 60:120] = 1
    shown = np.asarray(Image.open(io.BytesIO(overlay_jpeg(pixels, evidence)))).astype(int)
    assert shown.shape == (224, 224, 3)
    assert np.ptp(shown[150:, 150:], axis=2).max() < 6
    inside = shown[70:110, 70:110]
    assert inside.mean() > shown[150:, 150:].mean() + 60
    assert (inside[:, :, 0] - inside[:, :, 2]).min() > 30
    assert overlay_jpeg(pixels, evidence) == overlay_jpeg(pixels, evidence)
    assert max(Image.open(io.BytesIO(overlay_jpeg(pixels, evidence, 100))).size) == 100
