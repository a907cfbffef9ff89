"""Read files of weights as people have them: bare or wrapped state_dicts; no code in them runs."""

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file

from headstart.errors import BackboneError

SUFFIXES = (".pth", ".pt", ".pth.tar", ".bin", ".ckpt", ".safetensors")
WRAPPERS = ("state_dict", "model_state_dict", "model", "weights", "net")  # keys of checkpoints
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "backbone.")  # DataParallel, torch.compile, wrappers


def is_weight_file(name: str) -> bool:
    """Whether the name ends like that of a file of weights."""
    return name.lower().endswith(SUFFIXES)


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Tensors by torchvision's names, floats as float32 on the CPU.

    A checkpoint's `state_dict` is found by its usual keys, and prefixes that wrappers put before all names
    are removed.

    Raises:
        BackboneError: the file is damaged, holds Python objects instead of tensors, or a tensor has values
            that are NaN or infinite.
    """
    if path.suffix.lower() == ".safetensors":
        found: Mapping[str, object] = _read(path, lambda: load_file(path))
    else:
        loaded = _read(path, lambda: torch.load(path, map_location="cpu", weights_only=True))
        found = _state_dict(loaded)
    tensors = {name: tensor for name, tensor in found.items() if isinstance(tensor, torch.Tensor)}
    if len(tensors) < len(found) or not tensors:
        raise BackboneError(
            f"{path} does not hold a state_dict, names with tensors; save one with "
            "`torch.save(model.state_dict(), path)`"
        )
    floats = {name: t.float() if t.is_floating_point() else t for name, t in _without_prefix(tensors).items()}
    check_finite(floats, str(path))
    return floats


def check_finite(tensors: Mapping[str, torch.Tensor], source: str) -> None:
    """Refuse weights that would make every answer NaN.

    Raises:
        BackboneError: a value is NaN or infinite.
    """
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            wrong = int((~torch.isfinite(tensor)).sum())
            raise BackboneError(
                f"{source}: {wrong} of {tensor.numel()} values of {name} are NaN or infinite; the training "
                "that wrote it diverged, or the file is damaged: use another one"
            )


def _read(path: Path, read: Callable[[], object]) -> Mapping[str, object]:
    try:
        loaded = read()
    except pickle.UnpicklingError as error:
        if "Unsupported" not in str(error):
            raise BackboneError(f"cannot read {path}: {error}") from error
        raise BackboneError(
            f"cannot read {path}: it holds a whole pickled model or other Python objects, and loading those "
            "would run the code in them. Where the file comes from, save the weights alone: "
            "`torch.save(model.state_dict(), path)`"
        ) from None
    except Exception as error:  # a damaged file raises whatever its bytes make the reader raise
        raise BackboneError(f"cannot read {path}: {error}") from error
    return loaded if isinstance(loaded, Mapping) else {"": loaded}


def _state_dict(loaded: Mapping[str, object]) -> Mapping[str, object]:
    inner = next((loaded[key] for key in WRAPPERS if isinstance(loaded.get(key), Mapping)), None)
    if inner is None:
        return loaded
    assert isinstance(inner, Mapping)
    return _state_dict(inner)


def _without_prefix(tensors: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in tensors):
            return _without_prefix({name.removeprefix(prefix): tensor for name, tensor in tensors.items()})
    return tensors
