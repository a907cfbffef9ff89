"""Tensors on disk: safetensors with metadata as one JSON text, so that equal contents give equal bytes."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from headstart.errors import ModelError
from headstart.ground.files import replacing
from headstart.ground.reading import MAKE_AGAIN

METADATA_KEY = "headstart"
AGAIN = f"{MAKE_AGAIN}; fetch any other file again"
DTYPE_NAMES = {torch.float32: "F32", torch.bfloat16: "BF16", torch.uint8: "U8"}
DTYPES = {name: dtype for dtype, name in DTYPE_NAMES.items()}


@dataclass(frozen=True)
class Kind:
    """A kind of file, recognised by the keys that its metadata has."""

    name: str
    keys: frozenset[str]


NETWORK_KEYS = {"arch", "width", "head", "classes", "hidden", "dropout", "replace", "train"}
FEATURES_KEYS = {*NETWORK_KEYS, "cut", "precision", "batch_size", "transform", "backbone"}
HEAD = Kind("a head", frozenset({*FEATURES_KEYS, "epoch", "digest"}))
FEATURES = Kind("a features file", frozenset(FEATURES_KEYS))
BACKBONE = Kind("a backbone", frozenset({"arch", "width", "source", "random", "digest"}))
KINDS = (HEAD, FEATURES, BACKBONE)


def save(path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, object]) -> None:
    """Write tensors in the order of their names, with metadata of plain JSON values."""
    contiguous = {name: tensors[name].contiguous() for name in sorted(tensors)}
    with replacing(path) as new:
        save_file(contiguous, new, metadata={METADATA_KEY: json.dumps(metadata, sort_keys=True)})


def load(path: Path, names: Sequence[str] | None = None) -> dict[str, torch.Tensor]:
    """Load the tensors of a file, all or the named ones, on the CPU.

    Args:
        path: a file, or a folder with one file per layer (`features.0.safetensors`), which needs `names`.

    Raises:
        ModelError: the file is missing or damaged, or a name is not in it.
    """
    if path.is_dir():
        files = {name: path / f"{layer_of(name)}.safetensors" for name in names or ()}
        return {name: load(file, [name])[name] for name, file in files.items()}
    with opened(path) as file:
        known = set(file.keys())
        if missing := [name for name in names or () if name not in known]:
            raise ModelError(f"{path} holds no tensor {missing[0]!r}; it was written for another network")
        return {name: file.get_tensor(name) for name in (sorted(known) if names is None else names)}


def load_checked(path: Path, names: Sequence[str] | None = None) -> dict[str, torch.Tensor]:
    """Load all tensors of a file whose metadata records their digest, such as a head.

    Args:
        names: tensors that must be among them.

    Raises:
        ModelError: the file is missing or damaged, its values have another digest, or it lacks a name.
    """
    recorded = metadata(path).get("digest")
    tensors = load(path)
    if (found := digest(tensors)) != recorded:
        raise ModelError(
            f"the values in {path} have digest {found}, but its metadata records {recorded}: it was "
            f"changed after it was written; {AGAIN}"
        )
    if missing := [name for name in names or () if name not in tensors]:
        raise ModelError(f"{path} holds no tensor {missing[0]!r}; it was written for another network")
    return tensors


def by_layer(tensors: Mapping[str, torch.Tensor]) -> dict[str, dict[str, torch.Tensor]]:
    """The tensors of each layer."""
    layers: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        layers.setdefault(layer_of(name), {})[name] = tensor
    return layers


def layer_of(tensor: str) -> str:
    """The layer that a tensor belongs to: `features.0` of `features.0.weight`."""
    return tensor.rpartition(".")[0]


def metadata(path: Path, kind: Kind | None = None) -> dict[str, Any]:
    """The JSON metadata of a file that `save` wrote.

    Args:
        kind: the kind of file that it must be.

    Raises:
        ModelError: the file is missing, damaged, not ours or of another kind.
    """
    with opened(path) as file:
        text = (file.metadata() or {}).get(METADATA_KEY)
    if text is None:
        raise ModelError(f"{path} was not written by Headstart: it has no {METADATA_KEY!r} metadata")
    try:
        value: dict[str, Any] = json.loads(text)
    except json.JSONDecodeError as error:
        raise ModelError(f"the metadata of {path} is damaged: {error}; {AGAIN}") from error
    if kind is not None and not kind.keys <= value.keys():
        found = next((other.name for other in KINDS if other.keys <= value.keys()), "another file")
        raise ModelError(f"{path} is {found}, not {kind.name}")
    return value


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open a safetensors file, or raise a clear error."""
    if path.exists() and not path.is_file():  # reading a pipe might never end
        raise ModelError(f"cannot read {path} as safetensors: it is no file")
    try:
        file = safe_open(path, framework="pt")
    except (FileNotFoundError, SafetensorError, OSError) as error:
        raise ModelError(f"cannot read {path} as safetensors: {error}; {AGAIN}") from error
    with file:
        yield file


def digest(tensors: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 of names, dtypes, shapes and values, whatever file they are in."""
    sha = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().contiguous()
        sha.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        sha.update(tensor.flatten().view(torch.uint8).numpy().data)
    return sha.hexdigest()


def layer_digests(tensors: Mapping[str, torch.Tensor]) -> dict[str, str]:
    """The digest of each layer's tensors."""
    return {layer: digest(own) for layer, own in by_layer(tensors).items()}


class RowWriter:
    """One tensor of a known shape, written row by row as a safetensors file."""

    def __init__(
        self,
        file: BinaryIO,
        name: str,
        shape: Sequence[int],
        dtype: torch.dtype,
        metadata: Mapping[str, object],
    ) -> None:
        self._file = file
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        self.row_bytes = int(np.prod(shape[1:], dtype=np.int64)) * dtype.itemsize
        header = {
            "__metadata__": {METADATA_KEY: json.dumps(metadata, sort_keys=True)},
            name: {"dtype": DTYPE_NAMES[dtype], "shape": list(shape), "data_offsets": [0, size]},
        }
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        file.write(len(text).to_bytes(8, "little") + text)

    def write(self, rows: bytes) -> None:
        """Append the bytes of one or more rows."""
        self._file.write(rows)


class RowReader:
    """Rows of a one-tensor safetensors file, read by position so that memory stays bounded.

    Raises:
        ModelError: the file is missing or of another format.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.metadata = metadata(path)
        with opened(path) as file:
            if name not in file.keys():  # noqa: SIM118 - a safetensors handle is not a mapping
                raise ModelError(f"{path} holds no tensor {name!r}")
            part = file.get_slice(name)
            self.shape = tuple(part.get_shape())
            self.dtype = DTYPES[part.get_dtype()]
        self._path = path
        self._row_bytes = int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize
        with path.open("rb") as file:
            self._start = 8 + int.from_bytes(file.read(8), "little")

    def rows(self, start: int, stop: int) -> torch.Tensor:
        """Rows start to stop, of shape [stop - start, *shape[1:]], in the file's dtype."""
        count = (stop - start) * self._row_bytes
        raw = np.fromfile(
            self._path, dtype=np.uint8, count=count, offset=self._start + start * self._row_bytes
        )
        if raw.size != count:
            raise ModelError(f"{self._path} ends before row {stop}; {AGAIN}")
        return torch.from_numpy(raw).view(self.dtype).reshape(stop - start, *self.shape[1:])
