"""Stage train: the head, on stored features."""

from dataclasses import asdict

import pandas as pd

from headstart import paths, runtime
from headstart.data.splits import SPLITS
from headstart.files import replacing, write_json
from headstart.model import checkpoint
from headstart.model.assembly import spec_of, starting_head
from headstart.model.examples import rows_of
from headstart.model.feature_file import Features
from headstart.model.network import plan
from headstart.model.training import Epoch, TrainOptions, best_epoch, train_head
from headstart.progress import bar


def run(options: TrainOptions) -> str:
    """Write `artifacts/head.safetensors` and `reports/history.csv`."""
    features = Features(paths.FEATURES)
    spec = spec_of(features.metadata)
    network = plan(spec)
    table = pd.read_parquet(paths.IMAGE_TABLE, columns=["label", "split"])
    splits = {name: rows_of(table, name, spec.classes) for name in SPLITS}
    head = starting_head(network, paths.BACKBONE, options.seed)
    with bar(options.epochs, "train", "epoch") as progress:

        def show(epoch: Epoch) -> None:
            scores = f"val_loss={epoch.val_loss:.4f} val_accuracy={epoch.val_accuracy:.3f}"
            progress.set_postfix_str(scores, refresh=False)
            progress.update()

        tensors, history = train_head(network, head, features, splits["train"], splits["val"], options, show)
    best = best_epoch(history)
    metadata = {**features.metadata, "epoch": best.epoch, "digest": checkpoint.digest(tensors)}
    checkpoint.save(paths.HEAD, tensors, metadata)
    with replacing(paths.HISTORY) as new:
        pd.DataFrame(asdict(epoch) for epoch in history).to_csv(new, index=False)
    environment = runtime.environment("fp32", paths.LOCK)
    write_json(paths.ENVIRONMENTS / "train.json", environment.to_dict())
    return (
        f"{len(history)} epochs, best {best.epoch}: validation loss {best.val_loss:.4f}, "
        f"accuracy {best.val_accuracy:.4f}"
    )
