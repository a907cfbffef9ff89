"""Stage train: train everything after the cut, on stored activations or on the images."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd
import torch

from headstart.ground import paths, runtime
from headstart.ground.files import replacing, write_json
from headstart.ground.reading import load_table
from headstart.ground.wording import share
from headstart.pipeline.features.examples import class_weights, rows_of
from headstart.pipeline.features.feature_file import batches, features_metadata, resident
from headstart.pipeline.features.rows_source import open_rows
from headstart.pipeline.network import checkpoint, temperature
from headstart.pipeline.network.abstention import fit_abstention
from headstart.pipeline.network.assembly import starting_head
from headstart.pipeline.network.modules import Chain
from headstart.pipeline.network.network import plan, spec_of
from headstart.pipeline.pixels.packed import NEEDED
from headstart.pipeline.training import initial
from headstart.pipeline.training.checkpoints import (
    checkpoint_key,
    checkpoint_of,
    remove_checkpoints,
    stored_checkpoints,
)
from headstart.pipeline.training.history import Epoch, best_epoch
from headstart.pipeline.training.loop import OnEpoch
from headstart.pipeline.training.one_head import train_head
from headstart.pipeline.training.planned_trials import planned_trials
from headstart.pipeline.training.settings import Train, Trial
from headstart.pipeline.training.training_data import TrainingData
from headstart.pipeline.training.trials import Outcome, groups, train_trials
from headstart.progress import bar, report_epoch

SCORES = ("epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy")


def run(train: Train) -> str:
    """Write `artifacts/head.safetensors`, `reports/history.csv` and `reports/trials.csv`.

    A training that was killed resumes after its last epoch.
    """
    runtime.dtype_of(train.precision, "train.precision")
    metadata = features_metadata(paths.FEATURES)
    table = load_table(paths.IMAGE_TABLE, ["label", "split", "pixels", *NEEDED])
    data = _data(train, metadata, table)
    start = _Start(data, metadata, train)
    tried = planned_trials(train, data.network)
    key = checkpoint_key(train, metadata, table, data.rows, __name__)
    if left := stored_checkpoints(key):
        print(f"train: resumes where it was stopped ({left[0].name[:12]})", flush=True)
    with bar(train.epochs * (groups(data.network, len(tried)) or 1), "train", "epoch") as progress:

        def show(epoch: Epoch) -> None:
            scores = f"val_loss={epoch.val_loss:.4f} val_accuracy={epoch.val_accuracy:.3f}"
            progress.set_postfix_str(scores, refresh=False)
            progress.update()
            report_epoch(progress, {**asdict(epoch), "trials": len(tried)})

        tensors, history, outcomes = _train(data, start, train, tried, show, key)
    sentence = ""
    if train.temperature or train.abstain:
        added, sentence = _calibrated(data, train, start(), tensors)
        tensors = {**tensors, **added}
    _write(train, metadata, tensors, history, outcomes)
    remove_checkpoints(key)
    return _summary(history, len(tried)) + sentence + start.sentence


class _Start:
    """Makes heads whose starting values are new or come from an earlier head."""

    def __init__(self, data: TrainingData, metadata: Mapping[str, Any], train: Train) -> None:
        self._network, self._metadata, self._seed = data.network, metadata, train.seed
        self._initial = initial.read_initial(paths.INIT, train.init) if train.init else None
        self.fit = True
        self.sentence = ""
        self()

    def __call__(self) -> Chain:
        backbone = self._metadata["backbone"]
        head = starting_head(self._network, paths.BACKBONE, self._seed, backbone)
        if self._initial is not None:
            spec = spec_of(self._metadata)
            found = initial.start_from(head, self._network, spec, backbone["digest"], *self._initial)
            self.fit = found.fits_standardize
            self.sentence = f"; {found.sentence()}"
        return head


def _data(train: Train, metadata: Mapping[str, Any], table: pd.DataFrame) -> TrainingData:
    spec = spec_of(metadata)
    own = rows_of(table, "train", spec.classes)
    return TrainingData(
        network=plan(spec),
        rows=resident(open_rows(paths.FEATURES, table)),
        train=own,
        val=rows_of(table, "val", spec.classes),
        class_weights=class_weights(train.class_weights, spec.classes, own.labels),
    )


def _train(
    data: TrainingData, start: _Start, train: Train, tried: Sequence[Trial], show: OnEpoch, key: str
) -> tuple[dict[str, torch.Tensor], list[Epoch], list[Outcome]]:
    if tried:
        return train_trials(
            data, start, train, tried, show, fit=start.fit, checkpoint=lambda first: checkpoint_of(key, first)
        )
    tensors, history = train_head(data, start(), train, show, fit=start.fit, checkpoint=checkpoint_of(key))
    own = Trial(**{name: getattr(train, name, None) for name in Trial.model_fields})
    return tensors, history, [Outcome(own, len(history), best_epoch(history))]


@torch.inference_mode()
def _calibrated(
    data: TrainingData, train: Train, head: Chain, tensors: Mapping[str, torch.Tensor]
) -> tuple[dict[str, torch.Tensor], str]:
    """Temperature and abstention of the head that was kept, from the validation split, and both in words."""
    head.load({**head.tensors(), **tensors})
    head.to(runtime.device()).to(memory_format=torch.channels_last).eval()
    val = data.val
    found = [head(batch).cpu() for _, batch in batches(data.rows, val.indices, data.network.eval_batch)]
    logits, value = torch.cat(found).double(), 1.0
    added, words = {}, ""
    if train.temperature:
        value = temperature.fit_temperature(logits.numpy(), val.labels.numpy())
        added[temperature.TENSOR] = torch.tensor(value, dtype=torch.float64)
        words += f"; temperature {value:.3f}"
    if train.abstain:
        chosen = fit_abstention(train.abstain, temperature.probabilities_of(logits, value).numpy())
        added |= chosen.tensors()
        words += (
            f"; no answer below a confidence of {chosen.confidence:.4g} ({share(chosen.rate)} of validation)"
        )
    return added, words


def _write(
    train: Train,
    metadata: Mapping[str, Any],
    tensors: Mapping[str, torch.Tensor],
    history: Sequence[Epoch],
    outcomes: Sequence[Outcome],
) -> None:
    head_metadata = {
        **metadata,
        "epoch": best_epoch(history).epoch,
        "digest": checkpoint.digest(tensors),
        "init": train.init,
    }
    checkpoint.save(paths.HEAD, tensors, head_metadata)
    with replacing(paths.HISTORY) as new:
        pd.DataFrame(asdict(epoch) for epoch in history).to_csv(new, index=False)
    with replacing(paths.TRIALS) as new:
        _table(outcomes).to_csv(new, index=False)
    environment = runtime.environment(train.precision, paths.LOCK)
    write_json(paths.ENVIRONMENTS / "train.json", environment.to_dict())


def _table(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """One row per trial; a trial that diverged has no scores."""
    rows = []
    for number, outcome in enumerate(outcomes):
        best = asdict(outcome.best) if outcome.best else {}
        scores = {f"best_{name}" if name == "epoch" else name: best.get(name) for name in SCORES}
        rows.append({"trial": number, **outcome.trial.model_dump(), "epochs": outcome.epochs, **scores})
    return pd.DataFrame(rows)


def _summary(history: Sequence[Epoch], trials: int) -> str:
    best = best_epoch(history)
    done = f"{trials} trials, the best of {len(history)} epochs" if trials else f"{len(history)} epochs"
    return f"{done}, best {best.epoch}: validation loss {best.val_loss:.4f}, accuracy {best.val_accuracy:.4f}"
