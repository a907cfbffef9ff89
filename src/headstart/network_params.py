"""The network that params.yaml asks for, checked before any work; needs no tensor library."""

from pathlib import Path

from headstart.data.folders import find_files
from headstart.errors import ModelError
from headstart.model.network import NetworkSpec, plan, stated_outputs
from headstart.params import Params


def spec_for(params: Params, classes: tuple[str, ...]) -> NetworkSpec:
    """The network for these classes."""
    return NetworkSpec(
        arch=params.backbone.arch,
        width=params.backbone.width,
        classes=classes,
        head=params.model.head,
        hidden=tuple(params.model.hidden),
        dropout=params.model.dropout,
        replace=params.model.replace,
        train=tuple(params.model.train),
    )


def check_network(params: Params, data: Path) -> None:
    """Plan the network; the folder of images is looked at only where a number of outputs is stated.

    Raises:
        ModelError: a layer does not exist or does not fit, or the outputs are not the classes.
    """
    spec = spec_for(params, ("first", "second"))
    stated = stated_outputs(spec)
    if stated is None:
        plan(spec)
    elif data.is_dir():
        plan(spec_for(params, classes_in(data)))
    elif stated >= 2:
        plan(spec_for(params, tuple(map(str, range(stated)))))
    else:
        raise ModelError(f"a head needs at least two outputs, found {stated}; write `linear: classes`")


def classes_in(data: Path) -> tuple[str, ...]:
    """The classes of a folder of images, by their subfolders."""
    return tuple(sorted({found.label for found in find_files(data)} - {""}))
