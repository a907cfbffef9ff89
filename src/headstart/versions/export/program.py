"""A version's whole network as one program of torch: pixels in, probabilities out, nothing of ours inside."""

import warnings

import torch
from torch import nn
from torch.export import Dim, ExportedProgram

from headstart.pipeline.network.assembly import Head
from headstart.versions.serving.predictor import Predictor

TRACED = 2  # images in the batch that is traced; torch takes a batch of one for a constant
TRACES = ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn")  # they hold paths of this machine


class Network(nn.Module):
    """Pixels uint8 [N, H, W, 3], red, green and blue, to probabilities float32 [N, C].

    The arithmetic is that of `transforms.normalise` and `Head.probabilities`, in float32 throughout. It is
    written out here because torchvision's `normalize` looks at its values, which cannot be traced.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, predictor: Predictor) -> None:
        super().__init__()
        self.prefix = predictor.prefix
        self.head: Head = predictor.head
        self.register_buffer("mean", torch.tensor(predictor.transform.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(predictor.transform.std).view(1, 3, 1, 1))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        images = (pixels.permute(0, 3, 1, 2).float() / 255 - self.mean) / self.std
        logits: torch.Tensor = self.head(self.prefix(images))
        return (logits / self.head.temperature).softmax(1)


def program_of(predictor: Predictor) -> ExportedProgram:
    """Trace a version's network on the CPU, for any number of images.

    The predictor's layers are moved to the CPU and to float32; it answers from there afterwards.
    """
    size = predictor.transform.crop_size[0]
    network = Network(predictor).cpu().float().to(memory_format=torch.contiguous_format).eval()
    pixels = torch.zeros(TRACED, size, size, 3, dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of torch's own code
        made = torch.export.export(network, (pixels,), dynamic_shapes=({0: Dim("N")},))
    for node in made.graph.nodes:
        for name in TRACES:
            node.meta.pop(name, None)
    return made
