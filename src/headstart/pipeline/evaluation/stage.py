"""Stage evaluate: measure the head on the test split, which no earlier stage uses."""

from typing import Any

import numpy as np
import pandas as pd

from headstart.ground import paths, runtime
from headstart.ground.files import replacing, write_json, write_text
from headstart.ground.reading import load_table
from headstart.ground.settings import SPLITS
from headstart.pipeline.evaluation import metrics, plots, report
from headstart.pipeline.evaluation.results import Results, Validation
from headstart.pipeline.evaluation.sections import probabilities
from headstart.pipeline.evaluation.settings import Evaluate
from headstart.pipeline.features.examples import rows_of
from headstart.pipeline.features.predict_rows import predict_head
from headstart.pipeline.features.rows_source import open_rows
from headstart.pipeline.network import checkpoint
from headstart.pipeline.network.assembly import trained_head
from headstart.pipeline.network.network import INPUT, plan, spec_of
from headstart.pipeline.pages.html import thumbnail_jpeg
from headstart.pipeline.pixels.packed import PackedImages


def run(evaluate: Evaluate) -> str:
    """Write metrics, predictions, the tables that `dvc plots` draws, and the HTML report."""
    results = _evaluate(evaluate)
    write_json(paths.METRICS, results.metrics.to_dict())
    with replacing(paths.PREDICTIONS) as new:
        _predictions(results).to_parquet(new, index=False, compression="zstd")
    with replacing(paths.CONFUSION) as new:
        _confusion_rows(results).to_csv(new, index=False)
    with replacing(paths.ROC) as new:
        _roc_rows(results).to_csv(new, index=False)
    write_text(paths.REPORT, report.render_report(_report(results)))
    environment = runtime.environment("fp32", paths.LOCK)
    write_json(paths.ENVIRONMENTS / "evaluate.json", environment.to_dict())
    interval = results.metrics.intervals["accuracy"]
    groups = results.metrics.groups
    within = "" if groups is None else f" in {groups} groups"
    return (
        f"{len(results.labels)} test images{within}: accuracy {results.metrics.accuracy:.4f} "
        f"({evaluate.confidence:.0%} interval {interval.low:.4f} to {interval.high:.4f})"
    )


def _evaluate(options: Evaluate) -> Results:
    runtime.make_deterministic(options.seed)
    spec = spec_of(checkpoint.metadata(paths.HEAD, checkpoint.HEAD))
    network = plan(spec)
    head = trained_head(network, paths.HEAD, paths.BACKBONE)
    table = load_table(paths.IMAGE_TABLE)
    rows = open_rows(paths.FEATURES, paths.IMAGES, table["pixels"].tolist())
    test = rows_of(table, "test", spec.classes)
    answers = predict_head(head, rows, test.indices, network.eval_batch)
    val = rows_of(table, "val", spec.classes)
    validation = Validation(
        val.indices, val.labels.numpy(), predict_head(head, rows, val.indices, network.eval_batch)
    )
    labels = test.labels.numpy()
    own = table.iloc[test.indices.start : test.indices.stop].assign(row=list(test.indices))
    grouped = bool(own["group"].ne("").any())
    return Results(
        options=options,
        head=checkpoint.metadata(paths.HEAD, checkpoint.HEAD),
        images=table,
        rows=rows,
        table=own,
        labels=labels,
        probabilities=answers,
        classes=spec.classes,
        metrics=metrics.classification_metrics(
            labels,
            answers,
            spec.classes,
            confidence=options.confidence,
            resamples=options.resamples,
            seed=options.seed,
            groups=own["group"].mask(own["group"] == "", own["pixels"]).tolist() if grouped else None,
        ),
        validation=validation,
        temperature=head.temperature,
        abstention=head.abstention,
    )


def _predictions(results: Results) -> pd.DataFrame:
    names = np.array(results.classes, dtype=object)
    table = results.table[["path", "pixels", "label"]].assign(
        predicted=names[results.predicted], confidence=results.probabilities.max(1)
    )
    for index, name in enumerate(results.classes):
        table[f"probability:{name}"] = results.probabilities[:, index]
    return table


def _confusion_rows(results: Results) -> pd.DataFrame:
    names = np.array(results.classes, dtype=object)
    return pd.DataFrame({"actual": names[results.labels], "predicted": names[results.predicted]})


def _roc_curves(results: Results) -> dict[str, metrics.RocCurve]:
    """One curve per class with test images on both sides; if there are two classes, only the second's."""
    curves = {}
    for index, name in enumerate(results.classes):
        positives = results.labels == index
        if positives.any() and not positives.all() and (index or len(results.classes) > 2):
            curves[name] = metrics.roc_curve(results.probabilities[:, index], positives)
    return curves


def _roc_rows(results: Results) -> pd.DataFrame:
    parts = [
        pd.DataFrame(curve._asdict()).drop(columns="thresholds").assign(**{"class": name})
        for name, curve in _roc_curves(results).items()
    ]
    columns = ["class", "false_positive_rate", "true_positive_rate"]
    return pd.concat(parts)[columns] if parts else pd.DataFrame(columns=columns)


def _report(results: Results) -> report.Report:
    head = checkpoint.metadata(paths.HEAD, checkpoint.HEAD)
    backbone = head["backbone"]
    manifest = load_table(paths.MANIFEST, ["path", "label", "split", "excluded"])
    left_out = manifest[manifest["excluded"] != ""]
    kept = manifest[manifest["excluded"] == ""]
    counts = {
        split: {name: int(n) for name, n in group["label"].value_counts().sort_index().items()}
        for split, group in kept.groupby("split", sort=False)
    }
    counts = {name: counts[name] for name in SPLITS}
    return report.Report(
        title=report.title_of(results.classes),
        banner=random_banner() if backbone["random"] else None,
        facts=(
            ("Network", _network(head)),
            ("Backbone weights", backbone["source"]),
            ("Backbone digest", backbone["digest"]),
            ("Head digest", head["digest"]),
            ("Best epoch", str(head["epoch"])),
            ("Precision of the frozen part", head["precision"]),
            ("Transform", f"{head['arch']} {head['transform']} of torchvision"),
        ),
        metrics=results.metrics,
        notes=_notes(results, counts),
        images=_figures(results, counts),
        sections=_sections(results),
        mistakes=_mistakes(results),
        excluded=tuple((row.path, row.excluded) for row in left_out.itertuples()),
        counts=counts,
        links=(("The data", "data.html"), ("Validation pages", "data_docs/index.html")),
    )


def _sections(results: Results) -> tuple[report.Section, ...]:
    """The parts that modules of their own make, in the order of the page."""
    made: tuple[report.Section | None, ...] = (probabilities.section(results),)
    return tuple(section for section in made if section is not None)


def _notes(results: Results, counts: dict[str, dict[str, int]]) -> tuple[str, str]:
    commonest = max(counts["train"], key=lambda name: (counts["train"][name], name))
    share = float((results.labels == results.classes.index(commonest)).mean())
    history = load_table(paths.HISTORY).set_index("epoch")
    kept = int(checkpoint.metadata(paths.HEAD, checkpoint.HEAD)["epoch"])
    accuracy = float(history.loc[kept, "train_accuracy"])
    return (
        report.majority_note(commonest, share),
        report.training_note(accuracy, results.metrics.accuracy, results.metrics.intervals["accuracy"]),
    )


def _network(head: dict[str, Any]) -> str:
    parts = [f"{head['arch']}, head “{head['head']}”"]
    if head["replace"]:
        parts.append(f"replaced {', '.join(head['replace'])}")
    if head["train"]:
        parts.append(f"also trained: {', '.join(head['train'])}")
    parts.append("nothing frozen before the cut" if head["cut"] == INPUT else f"cut after {head['cut']}")
    return ", ".join(parts)


def random_banner() -> str:
    """The warning on every page if the convolutions were never trained."""
    return (
        "Backbone weights: random. The convolutions were never trained on anything; set "
        "backbone.weights: IMAGENET1K_V1 in params.yaml for the pretrained network."
    )


def _figures(results: Results, counts: dict[str, dict[str, int]]) -> tuple[report.Figure, ...]:
    matrix = metrics.confusion_matrix(results.labels, results.predicted, len(results.classes))
    figures = [
        report.Figure(
            "Confusion",
            "Test images, by class and prediction.",
            plots.confusion_png(matrix, results.classes),
        ),
        report.Figure(
            "Calibration",
            "Confidence against accuracy on test images.",
            plots.calibration_png(results.labels, results.probabilities),
        ),
        report.Figure("History", "Loss and accuracy per epoch.", _history_png(), "training"),
        report.Figure("Images", "Images per class and split.", plots.class_counts_png(counts), "data"),
    ]
    if curves := _roc_curves(results):
        roc = report.Figure("ROC", "Each class against the rest.", plots.roc_png(curves))
        figures.insert(1, roc)
    return tuple(figures)


def _history_png() -> bytes:
    history = load_table(paths.HISTORY)
    return plots.history_png(
        epochs=history["epoch"].tolist(),
        train_loss=history["train_loss"].tolist(),
        val_loss=history["val_loss"].tolist(),
        train_accuracy=history["train_accuracy"].tolist(),
        val_accuracy=history["val_accuracy"].tolist(),
        best=int(checkpoint.metadata(paths.HEAD, checkpoint.HEAD)["epoch"]),
    )


def _mistakes(results: Results) -> tuple[report.Mistake, ...]:
    wrong = np.flatnonzero(results.predicted != results.labels)
    confidence = results.probabilities.max(1)
    order = wrong[np.argsort(-confidence[wrong], kind="stable")]
    kinds = list(zip(results.labels[order].tolist(), results.predicted[order].tolist(), strict=True))
    order = order[report.in_turn(kinds, report.MISTAKES_SHOWN)]
    images = PackedImages(paths.IMAGES)
    shown = []
    for index in order:
        row = results.table.iloc[index]
        [pixels] = images.rows(row["row"], row["row"] + 1)
        shown.append(
            report.Mistake(
                path=row["path"],
                label=row["label"],
                predicted=results.classes[results.predicted[index]],
                confidence=float(confidence[index]),
                thumbnail_jpeg=thumbnail_jpeg(pixels),
            )
        )
    return tuple(shown)
