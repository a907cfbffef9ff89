"""Stage backbone: every parameter of the frozen network, in one file that says where it came from."""

from headstart import paths
from headstart.model import checkpoint
from headstart.model.backbone import BackboneSource, backbone_metadata, load_backbone


def run(source: BackboneSource) -> str:
    """Write `artifacts/backbone.safetensors` and return a line that says what it holds."""
    backbone = load_backbone(source)
    tensors = backbone.tensors
    metadata = backbone_metadata(source, backbone)
    checkpoint.save(paths.BACKBONE, tensors, metadata)
    parameters = sum(tensor.numel() for tensor in tensors.values() if tensor.is_floating_point())
    return (
        f"{source.arch}, weights {metadata['source']}: {parameters:,} parameters, "
        f"digest {str(metadata['digest'])[:12]}"
    )
