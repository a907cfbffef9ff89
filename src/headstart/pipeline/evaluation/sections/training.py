"""Section "Training": the epochs of the head that was kept, and the trials of a sweep."""

from dataclasses import dataclass

import pandas as pd
from markupsafe import Markup

from headstart.ground import paths
from headstart.ground.reading import load_table
from headstart.pipeline.evaluation import plots
from headstart.pipeline.evaluation.report import Figure, Section, figures
from headstart.pipeline.evaluation.results import Results
from headstart.pipeline.evaluation.wording import decimal
from headstart.pipeline.pages.html import fragment

SETTINGS = ("lr", "weight_decay", "label_smoothing", "dropout")
OPEN = 20  # trials; more are in a box that scrolls


@dataclass(frozen=True)
class TrialRow:
    """A trial of the sweep; `scores` says so if it diverged."""

    number: int
    settings: tuple[str, ...]
    epochs: int
    scores: tuple[str, str, str]
    is_kept: bool


def section(results: Results) -> Section:
    """Make the section from the tables that training wrote."""
    history, kept = load_table(paths.HISTORY), int(results.head["epoch"])
    png = plots.history_of(history, kept)
    best = history.set_index("epoch").loc[kept]
    alt = (
        f"Loss and accuracy over {len(history)} epochs; epoch {kept} was kept, with a validation loss of "
        f"{decimal(best['val_loss'])} and a validation accuracy of {decimal(best['val_accuracy'])}"
    )
    drawn = figures(Figure("History", "Loss and accuracy per epoch.", png, alt))
    trials = load_table(paths.TRIALS)
    return Section("Training", drawn + (_trials(trials) if len(trials) > 1 else Markup("")))


def settings(trials: pd.DataFrame) -> list[tuple[str, str]]:
    """The settings of the trial that was kept, those of `train` that have a value."""
    kept = trials.loc[trials["val_loss"].idxmin()]
    return [(f"train.{name}", f"{kept[name]:g}") for name in _used(trials) if pd.notna(kept[name])]


def _trials(trials: pd.DataFrame) -> Markup:
    names = _used(trials)
    ranked = trials.sort_values("val_loss", kind="stable")
    rows = [_row(row, names, is_kept=not place) for place, (_, row) in enumerate(ranked.iterrows())]
    values = {"names": names, "rows": rows, "open": OPEN}
    return fragment("headstart.pipeline.evaluation.sections", "trials.html.j2", {}, **values)


def _row(row: "pd.Series[float]", names: list[str], *, is_kept: bool) -> TrialRow:
    if pd.isna(row["val_loss"]):
        scores = ("", "diverged", "")
    else:
        scores = (f"{row['best_epoch']:g}", decimal(row["val_loss"]), decimal(row["val_accuracy"]))
    shown = tuple(f"{row[name]:.4g}" if pd.notna(row[name]) else "" for name in names)
    return TrialRow(int(row["trial"]), shown, int(row["epochs"]), scores, is_kept)


def _used(trials: pd.DataFrame) -> list[str]:
    """The settings that have a value. Momentum has one with every optimizer, and counts if trials vary it."""
    varied = ["momentum"] if trials["momentum"].nunique() > 1 else []
    return [name for name in SETTINGS if name in trials and trials[name].notna().any()] + varied
