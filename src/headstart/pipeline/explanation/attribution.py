"""The places in a picture that count for a class, from the gradients at the last convolution."""

import copy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from headstart.errors import ModelError
from headstart.ground import runtime
from headstart.ground.settings import Precision
from headstart.pipeline.features.frozen import frozen_prefix
from headstart.pipeline.network import checkpoint
from headstart.pipeline.network.assembly import trained_head
from headstart.pipeline.network.kinds import BatchNorm2d, Conv2d, ReLU
from headstart.pipeline.network.modules import Chain
from headstart.pipeline.network.network import Network, plan, spec_of

AT_ONCE = 16  # images per pass on an accelerator; a processor takes fewer

Maps = NDArray[np.float32]


@dataclass(frozen=True)
class Attribution:
    """Attribution maps of one network.

    The map of a class is HiResCAM at the output of the last convolution (with the batch norm and ReLU that
    follow it): activation times gradient, place by place, summed over channels. The gradient is that of the
    log-odds of the class, log(p / (1 - p)), which does not fade if p is near 1 and does not change if all
    outputs of the head grow by the same amount, as p does not. If everything after that point is linear or
    a maximum, as with the head `pooled`, the places add up to exactly what the picture changes in an output.

    Source: R. L. Draelos, L. Carin, Use HiResCAM instead of Grad-CAM for faithful explanations of
    convolutional neural networks, arXiv:2011.08891, 2020; it equals Grad-CAM (R. R. Selvaraju et al., 2017)
    if the head averages the maps, and unlike Grad-CAM does not blur places that other heads weigh apart.

    Attributes:
        prefix: the layers before the cut, in `precision`, on this machine's device.
        head: the layers after it, float32, on the same device.
        transform: name of the torchvision weights whose transform the pixels were packed by.
    """

    network: Network
    prefix: Chain
    head: Chain
    arch: str
    transform: str
    precision: Precision

    @classmethod
    def load(cls, head: Path, backbone: Path) -> "Attribution":
        """Load the files of the train and backbone stages.

        Raises:
            ModelError: a file is missing or was changed, the two do not belong together, or the network has
                no maps.
        """
        metadata = checkpoint.metadata(head, checkpoint.HEAD)
        network = plan(spec_of(metadata))
        last_maps(network)
        prefix = frozen_prefix(network, backbone, metadata["backbone"])
        dtype = runtime.dtype_of(metadata["precision"])
        return cls(
            network=network,
            prefix=prefix.to(runtime.device(), dtype).to(memory_format=torch.channels_last),
            head=trained_head(network, head, backbone).to(runtime.device()),
            arch=metadata["arch"],
            transform=metadata["transform"],
            precision=metadata["precision"],
        )

    def maps(self, pixels: NDArray[np.uint8], classes: NDArray[np.int64]) -> Maps:
        """Evidence for a class in each picture: float32 [N, H, W] in [0, 1].

        1 is the place that counts most for the class, 0 all those that count no more than the picture's
        average place: what every place adds alike distinguishes none of them. If all count the same, the map
        is 0 everywhere. Values of different pictures do not compare.

        Args:
            pixels: packed pictures, uint8 [N, H, W, 3]; a few are computed at a time.
            classes: int64 [N], places in the order of the head's classes.
        """
        counted = torch.from_numpy(self.contributions(pixels, classes))[:, None]
        # of four places the pooling after them chose one for each channel: neighbours share what they count
        shared = F.avg_pool2d(counted, 3, stride=1, padding=1, count_include_pad=False)
        above = (shared - shared.mean((2, 3), keepdim=True)).clamp(min=0)
        large = F.interpolate(above, pixels.shape[1:3], mode="bilinear", align_corners=False)[:, 0]
        most = large.amax((1, 2), keepdim=True)
        scaled: Maps = (large / torch.where(most > 0, most, 1)).numpy()
        return scaled

    def contributions(self, pixels: NDArray[np.uint8], classes: NDArray[np.int64]) -> Maps:
        """Share of each place in the log-odds of a class, in nats: float32 [N, h, w] at the maps' own size.

        Negative places count against the class. Arguments as for `maps`.
        """
        size = runtime.images_at_once(AT_ONCE)
        height, width = self.network.layers[self._point - 1].output[1:]
        found = np.empty((len(pixels), height, width), np.float32)
        for start in range(0, len(pixels), size):
            part = slice(start, start + size)
            found[part] = self._contributions(pixels[part], classes[part])
        return found

    def _contributions(self, pixels: NDArray[np.uint8], classes: NDArray[np.int64]) -> Maps:
        with torch.no_grad():
            activations = self._activations(pixels).float().cpu().contiguous()
        activations.requires_grad_()
        own = torch.from_numpy(classes)[:, None]
        with torch.enable_grad():
            # a copy, because the next layer might be one that works in place
            outputs = self._rest(activations.clone())
            others = outputs.scatter(1, own, -torch.inf).logsumexp(1)
            odds = outputs.gather(1, own)[:, 0] - others
            [gradients] = torch.autograd.grad(odds.sum(), activations)
        counted: Maps = (gradients * activations.detach()).sum(1).numpy()
        return counted

    def _activations(self, pixels: NDArray[np.uint8]) -> torch.Tensor:
        # torchvision takes 3.5 s to import, which a report without maps need not wait for
        from headstart.pipeline.pixels.transforms import normalise, transform_of

        transform = transform_of(self.arch, self.transform)
        batch = normalise(torch.from_numpy(pixels).to(runtime.device()), transform)
        cut = self.network.cut
        found: torch.Tensor = self.prefix.part(0, min(self._point, cut))(
            batch.to(runtime.dtype_of(self.precision))
        )
        if self._point > cut:
            found = self.head.part(0, self._point - cut)(found.float())
        return found

    @cached_property
    def _point(self) -> int:
        return last_maps(self.network)

    @cached_property
    def _rest(self) -> Chain:
        """The layers after the maps, in float32 on the CPU.

        On an accelerator the gradients of pooling depend on the order of additions. These layers are few.
        """
        layers, body = list(self.network.layers), [*self.prefix.body, *self.head.body]
        rest = Chain(layers[self._point :], body[self._point :]).eval()
        if runtime.device().type == "cpu" and self.precision == "fp32":
            return rest
        return copy.deepcopy(rest).float().cpu()


def has_maps(network: Network) -> bool:
    """Whether a convolution of the network has an output of more than one place."""
    return bool(_convolutions(network))


def last_maps(network: Network) -> int:
    """How many layers make the last maps: up to the last convolution, and the norm and ReLU after it.

    Raises:
        ModelError: no convolution has an output of more than one place.
    """
    if not has_maps(network):
        raise ModelError(
            "no convolution of this network makes maps, so an answer cannot be traced to places in a "
            "picture; keep one in model.replace"
        )
    point = _convolutions(network)[-1] + 1
    while isinstance(network.layers[point].kind, BatchNorm2d | ReLU):
        point += 1
    return point


def _convolutions(network: Network) -> list[int]:
    return [
        index
        for index, layer in enumerate(network.layers)
        if isinstance(layer.kind, Conv2d) and layer.output[1:] != (1, 1)
    ]
