"""How much longer do 64 trials take than one? Heads trained side by side over the same features.

20,000 x 4096 features, `classifier.6` of two classes, imports left out; trials that have a dropout of their
own are apart, since each of them then reads inputs of its own.

    .venv/bin/python bench/trials.py
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from machine import ROOT

from headstart.ground import runtime
from headstart.params import load_params
from headstart.pipeline.features.examples import LabelledRows
from headstart.pipeline.features.feature_file import Features
from headstart.pipeline.network import checkpoint
from headstart.pipeline.network.assembly import starting_head
from headstart.pipeline.network.modules import Chain
from headstart.pipeline.network.network import NetworkSpec, plan
from headstart.pipeline.training.one_head import train_head
from headstart.pipeline.training.settings import Train, Trial
from headstart.pipeline.training.training_data import TrainingData
from headstart.pipeline.training.trials import train_trials

SPECS = {
    "classifier.6 without dropout": NetworkSpec(
        "vgg16", 64, "linear", ("a", "b"), replace={"classifier.5": "identity"}
    ),
    "classifier.6 with the network's dropout": NetworkSpec("vgg16", 64, "linear", ("a", "b")),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--trials", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--out", type=Path, default=Path("bench/results/trials.json"))
    chosen = parser.parse_args()
    settings = load_params(ROOT / "params.yaml").train.changed(
        lr=1e-3, epochs=chosen.epochs, batch_size=chosen.batch_size, patience=99
    )
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        features, train, val = make_features(Path(folder), chosen.images)
        for name, spec in SPECS.items():
            for own_dropout in (False, True) if "network's" in name else (False,):
                tried = make_trials(chosen.trials, own_dropout)
                rows.append(
                    measure(
                        name, TrainingData(plan(spec), features, train, val), settings, tried, own_dropout
                    )
                )
                print("{case}: one {one_s:.2f} s, all {many_s:.2f} s, ratio {ratio:.2f}".format(**rows[-1]))
    result = {
        "device": runtime.device_name(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        **{name: value for name, value in vars(chosen).items() if name != "out"},
        "rows": rows,
    }
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def measure(
    name: str, data: TrainingData, settings: Train, tried: list[Trial], own_dropout: bool
) -> dict[str, object]:
    """Seconds of one training and of all trials, taken in turn; the better of two each."""

    def head() -> Chain:
        return starting_head(data.network, Path("no backbone is read"), 0)

    def one() -> None:
        train_head(data, head(), settings)

    def many() -> None:
        train_trials(data, head, settings, tried)

    times: dict[str, list[float]] = {"one": [], "many": []}
    for _ in range(2):
        times["one"].append(seconds(one))
        times["many"].append(seconds(many))
    best = {what: min(found) for what, found in times.items()}
    case = f"{name}{', each trial with its own rate' if own_dropout else ''}"
    return {"case": case, "one_s": best["one"], "many_s": best["many"], "ratio": best["many"] / best["one"]}


def seconds(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def make_features(folder: Path, count: int) -> tuple[Features, LabelledRows, LabelledRows]:
    """Rows as after a ReLU: half of the numbers are 0."""
    random = torch.Generator().manual_seed(0)
    rows = torch.randn(count, 4096, generator=random).relu_()
    labels = torch.randint(0, 2, (count,), generator=random)
    rows[:, :8] += labels[:, None]
    checkpoint.save(folder / "features", {"features": rows}, {})
    held = count // 10
    train = LabelledRows(range(count - held), labels[: count - held])
    return (
        Features(folder / "features"),
        train,
        LabelledRows(range(count - held, count), labels[count - held :]),
    )


def make_trials(count: int, own_dropout: bool) -> list[Trial]:
    random = runtime.generator(0)
    return [
        Trial(
            lr=float(10 ** random.uniform(-4, -2)),
            momentum=0.9,
            weight_decay=float(random.choice([0, 0.01, 0.1])),
            label_smoothing=0.0,
            dropout=float(random.uniform(0, 0.7)) if own_dropout else None,
        )
        for _ in range(count)
    ]


if __name__ == "__main__":
    main()
