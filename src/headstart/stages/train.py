"""Stage train: what comes after the cut, on stored activations or on the images."""

import hashlib
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from headstart import paths, runtime
from headstart.cache import default_folder
from headstart.data.splits import SPLITS
from headstart.errors import ParamsError
from headstart.files import replacing, write_json
from headstart.model import (
    checkpoint,
    examples,
    feature_file,
    initial,
    modules,
    resuming,
    training,
    trials,
)
from headstart.model.assembly import starting_head
from headstart.model.examples import LabelledRows, class_weights, rows_of
from headstart.model.feature_file import Rows, features_metadata, resident
from headstart.model.kinds import Dropout
from headstart.model.modules import Chain
from headstart.model.network import Network, NetworkSpec, plan, spec_of
from headstart.model.resuming import Checkpoint
from headstart.model.rows_source import open_rows
from headstart.model.training import Epoch, TrainOptions, best_epoch, train_head
from headstart.model.trials import Outcome, Trial, train_trials
from headstart.progress import bar

SETTINGS = tuple(field.name for field in fields(Trial))


@dataclass(frozen=True)
class Options:
    """Section `train` of params.yaml.

    Attributes:
        training: how one head is trained.
        class_weights: `balanced`, weights by class, or None.
        init: digest of `artifacts/init.safetensors`, or None to start anew.
        trials: the settings of each trial, or a sample of them; None for one training.
    """

    training: TrainOptions
    class_weights: str | Mapping[str, float] | None
    init: str | None
    trials: Sequence[Mapping[str, float]] | Mapping[str, Any] | None


def run(options: Options) -> str:
    """Write `artifacts/head.safetensors`, `reports/history.csv` and `reports/trials.csv`.

    A training that was killed goes on at its last epoch.
    """
    runtime.dtype_of(options.training.precision, "train.precision")
    metadata = features_metadata(paths.FEATURES)
    spec = spec_of(metadata)
    network = plan(spec)
    table = pd.read_parquet(paths.IMAGE_TABLE, columns=["label", "split", "pixels"])
    rows = resident(open_rows(paths.FEATURES, paths.IMAGES, table["pixels"].tolist()))
    splits = {name: rows_of(table, name, spec.classes) for name in SPLITS}
    weights = class_weights(options.class_weights, spec.classes, splits["train"].labels)
    start = _Start(network, spec, metadata, options)
    tried = _trials(options, network)
    key = _key(options, metadata, table, rows)
    if left := _checkpoints(key):
        print(f"train: goes on where it was stopped ({left[0].name[:12]})", flush=True)
    groups = len(tried) if tried and not trials.can_batch(network) else 1
    with bar(options.training.epochs * groups, "train", "epoch") as progress:

        def show(epoch: Epoch) -> None:
            scores = f"val_loss={epoch.val_loss:.4f} val_accuracy={epoch.val_accuracy:.3f}"
            progress.set_postfix_str(scores, refresh=False)
            progress.update()

        tensors, history, outcomes = _train(
            network, start, rows, splits, options.training, tried, weights, show, key
        )
    best = best_epoch(history)
    head_metadata = {
        **metadata,
        "epoch": best.epoch,
        "digest": checkpoint.digest(tensors),
        "init": options.init,
    }
    checkpoint.save(paths.HEAD, tensors, head_metadata)
    with replacing(paths.HISTORY) as new:
        pd.DataFrame(asdict(epoch) for epoch in history).to_csv(new, index=False)
    with replacing(paths.TRIALS) as new:
        _table(outcomes).to_csv(new, index=False)
    environment = runtime.environment(options.training.precision, paths.LOCK)
    write_json(paths.ENVIRONMENTS / "train.json", environment.to_dict())
    _remove_checkpoints(key)
    said = (
        f"{len(history)} epochs" if not tried else f"{len(tried)} trials, the best of {len(history)} epochs"
    )
    return (
        f"{said}, best {best.epoch}: validation loss {best.val_loss:.4f}, "
        f"accuracy {best.val_accuracy:.4f}{start.sentence}"
    )


class _Start:
    """Makes heads with starting values, anew or from an earlier head."""

    def __init__(
        self, network: Network, spec: NetworkSpec, metadata: Mapping[str, Any], options: Options
    ) -> None:
        self._network, self._spec, self._metadata = network, spec, metadata
        self._seed = options.training.seed
        self._initial = initial.read_initial(paths.INIT, options.init) if options.init else None
        self.fit = True
        self.sentence = ""
        self()

    def __call__(self) -> Chain:
        head = starting_head(self._network, paths.BACKBONE, self._seed)
        if self._initial is not None:
            digest = self._metadata["backbone"]["digest"]
            found = initial.start_from(head, self._network, self._spec, digest, *self._initial)
            self.fit = found.fits_standardize
            self.sentence = f"; {found.sentence()}"
        return head


def _train(
    network: Network,
    start: _Start,
    rows: Rows,
    splits: Mapping[str, LabelledRows],
    options: TrainOptions,
    tried: Sequence[Trial],
    weights: torch.Tensor | None,
    show: Any,
    key: str,
) -> tuple[dict[str, torch.Tensor], list[Epoch], list[Outcome]]:
    train, val = splits["train"], splits["val"]
    if tried:
        return train_trials(
            network,
            start,
            rows,
            train,
            val,
            options,
            tried,
            show,
            class_weights=weights,
            fit=start.fit,
            checkpoint=lambda first: Checkpoint(_folder() / f"{key}-{first}.safetensors"),
        )
    state = Checkpoint(_folder() / f"{key}-0.safetensors")
    tensors, history = train_head(
        network,
        start(),
        rows,
        train,
        val,
        options,
        show,
        class_weights=weights,
        fit=start.fit,
        checkpoint=state,
    )
    own = Trial(options.lr, options.momentum, options.weight_decay, options.label_smoothing, None)
    return tensors, history, [Outcome(own, len(history), best_epoch(history))]


def _trials(options: Options, network: Network) -> list[Trial]:
    """The trials as params.yaml lists or samples them; settings that it does not name are the common ones."""
    found = options.trials
    if found is None:
        return []
    listed = _sampled(found) if isinstance(found, Mapping) else found
    planned = next((layer.kind.p for layer in network.after if isinstance(layer.kind, Dropout)), None)
    if planned is None and any(own.get("dropout") is not None for own in listed):
        raise ParamsError(
            "train.trials: dropout is set, but no dropout layer comes after the cut; leave it out, or use a "
            "head that has one (linear, mlp)"
        )
    common: dict[str, Any] = {name: getattr(options.training, name, None) for name in SETTINGS}
    if any(own.get("dropout") is not None for own in listed):
        common["dropout"] = planned
    return [Trial(**common | {k: v for k, v in own.items() if v is not None}) for own in listed]


def _sampled(sample: Mapping[str, Any]) -> list[dict[str, float]]:
    random = runtime.generator(sample["seed"])
    ranges = {name: sample[name] for name in SETTINGS if sample.get(name) is not None}
    return [{name: _drawn(random, within) for name, within in ranges.items()} for _ in range(sample["count"])]


def _drawn(random: np.random.Generator, within: Any) -> float:
    if isinstance(within, Mapping):
        low, high = within["low"], within["high"]
        if within["log"]:
            return math.exp(random.uniform(math.log(low), math.log(high)))
        return float(random.uniform(low, high))
    return float(within[random.integers(len(within))])


def _table(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """A row a trial; no scores where its loss was no number."""
    rows = []
    for number, outcome in enumerate(outcomes):
        best = asdict(outcome.best) if outcome.best else {}
        scores = {f"best_{name}" if name == "epoch" else name: best.get(name) for name in SCORES}
        rows.append({"trial": number, **asdict(outcome.trial), "epochs": outcome.epochs, **scores})
    return pd.DataFrame(rows)


ABANDONED_SECONDS = 3600  # no write of a state takes as long
SCORES = ("epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy")


def _folder() -> Path:
    return default_folder() / "checkpoints"


def _checkpoints(key: str) -> list[Path]:
    return list(_folder().glob(f"{key}-*.safetensors"))


def _remove_checkpoints(key: str) -> None:
    """Those of this training, and what a kill in the middle of a write left of any."""
    left = [path for path in _folder().glob(".*") if time.time() - path.stat().st_mtime > ABANDONED_SECONDS]
    for path in [*_checkpoints(key), *left]:
        path.unlink(missing_ok=True)


def _key(options: Options, metadata: Mapping[str, Any], table: pd.DataFrame, rows: Rows) -> str:
    """Digest of all that the training depends on: what may go on from a checkpoint is exactly the same.

    Of the stored rows a sample is taken: the backbone's digest in `metadata` and the images' say the rest.
    """
    sample = np.linspace(0, len(table) - 1, num=min(16, len(table)), dtype=int)
    sources = [training, trials, modules, examples, feature_file, resuming, initial, runtime]
    sha = hashlib.sha256()
    for part in (
        asdict(options),
        metadata,
        runtime.environment(options.training.precision, paths.LOCK).to_dict(),
        torch.get_num_threads(),
        [hashlib.sha256(Path(module.__file__ or "").read_bytes()).hexdigest() for module in sources],
        table.to_dict(orient="list"),
    ):
        sha.update(json.dumps(part, sort_keys=True, default=dict).encode())
    for row in sample:
        sha.update(rows.rows(int(row), int(row) + 1).numpy().tobytes())
    return sha.hexdigest()
