"""The network that params.yaml asks for, checked before any work; needs no tensor library."""

from pathlib import Path

from headstart.errors import ModelError
from headstart.params import Params
from headstart.pipeline.data.settings import Data
from headstart.pipeline.network.network import network_spec, plan, stated_outputs
from headstart.pipeline.training.trial_dropout import planned_dropout, sets_dropout


def check_network(params: Params, data: Path | None) -> None:
    """Plan the network; the image folder is only read if params.yaml states a number of outputs.

    Args:
        data: the folder of images; None outside of a project.

    Raises:
        ModelError: a layer does not exist or does not fit, the outputs do not match the classes, or
            the batch size is too small for a batch norm.
        ParamsError: trials set a dropout that the network lacks.
    """
    spec = network_spec(params.backbone, params.model, ("first", "second"))
    stated = stated_outputs(spec)
    if stated is None:
        network = plan(spec)
    elif data is not None and data.is_dir():
        network = plan(network_spec(params.backbone, params.model, classes_in(data, params.data)))
    elif stated >= 2:
        network = plan(network_spec(params.backbone, params.model, tuple(map(str, range(stated)))))
    else:
        raise ModelError(f"a head needs at least two outputs, found {stated}; write `linear: classes`")
    if params.train.batch_size < network.least_rows and (layer := network.needs_rows):
        raise ModelError(
            f"train.batch_size: 1 cannot train {layer.name} ({layer.kind}): a batch norm needs at least 2 "
            "rows; use a larger batch, or take the layer out of model.replace"
        )
    if sets_dropout(params.train.trials):
        planned_dropout(network)


def classes_in(folder: Path, data: Data) -> tuple[str, ...]:
    """The classes of a folder of images, by its subfolders or its table of labels."""
    from headstart.pipeline.data.dataset import read_dataset  # Pillow: most commands do not read the folder

    return tuple(sorted({image.label for image in read_dataset(folder, data).images} - {""}))
