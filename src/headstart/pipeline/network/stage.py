"""Stage backbone: store every parameter of the frozen network in one file that records its source."""

from headstart.ground import paths
from headstart.pipeline.network import checkpoint
from headstart.pipeline.network.backbone import backbone_metadata, load_backbone
from headstart.pipeline.network.settings import Backbone


def run(backbone: Backbone) -> str:
    """Write `artifacts/backbone.safetensors` and return a one-line summary."""
    loaded = load_backbone(backbone)
    tensors = loaded.tensors
    metadata = backbone_metadata(backbone, loaded)
    checkpoint.save(paths.BACKBONE, tensors, metadata)
    parameters = sum(tensor.numel() for tensor in tensors.values() if tensor.is_floating_point())
    return (
        f"{backbone.arch}, weights {metadata['source']}: {parameters:,} parameters, "
        f"digest {str(metadata['digest'])[:12]}"
    )
