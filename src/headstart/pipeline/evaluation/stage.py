"""Stage evaluate: measure the head on the test split, which no earlier stage uses."""

import numpy as np
import pandas as pd

from headstart.ground import paths, runtime
from headstart.ground.files import replacing, write_json, write_text
from headstart.ground.reading import load_table
from headstart.pipeline.evaluation import explanations, metrics, report
from headstart.pipeline.evaluation.costs import costs_of
from headstart.pipeline.evaluation.figures import write_figures
from headstart.pipeline.evaluation.intervals import Interval
from headstart.pipeline.evaluation.paired_difference import difference
from headstart.pipeline.evaluation.results import Results, Validation, groups_of
from headstart.pipeline.evaluation.sections import (
    baselines,
    classes,
    confusion,
    cross_validation,
    curves,
    data,
    gallery,
    learning_curve,
    mistakes,
    model,
    probabilities,
    slices,
    training,
)
from headstart.pipeline.evaluation.settings import Evaluate
from headstart.pipeline.evaluation.verdict import commonest_of, training_note, verdict
from headstart.pipeline.features.examples import rows_of
from headstart.pipeline.features.predict_rows import predict_head
from headstart.pipeline.features.rows_source import open_rows
from headstart.pipeline.network import checkpoint
from headstart.pipeline.network.assembly import trained_head
from headstart.pipeline.network.network import plan, spec_of

PLACES = (  # registration stores them beside the report
    report.Place("the data", "data.html", "reports/data.html"),
    report.Place("near duplicates", "near_duplicates.html", "reports/near_duplicates.html"),
    report.Place("validation", "data_docs/index.html", "reports/data_docs/index.html"),
)


def run(evaluate: Evaluate) -> str:
    """Write metrics, predictions, the tables that `dvc plots` draws, and the HTML report."""
    results = _evaluate(evaluate)
    page = report.render_report(_report(results))  # before anything is written
    write_figures(results.metrics)
    with replacing(paths.PREDICTIONS) as new:
        _predictions(results).to_parquet(new, index=False, compression="zstd")
    with replacing(paths.CONFUSION) as new:
        _confusion_rows(results).to_csv(new, index=False)
    with replacing(paths.ROC) as new:
        _roc_rows(results).to_csv(new, index=False)
    write_text(paths.REPORT, page)
    environment = runtime.environment("fp32", paths.LOCK)
    write_json(paths.ENVIRONMENTS / "evaluate.json", environment.to_dict())
    interval = results.metrics.intervals["accuracy"]
    groups = results.metrics.groups
    within = "" if groups is None else f" in {groups} groups"
    return (
        f"{len(results.labels)} test images{within}: accuracy {results.metrics.accuracy:.4f} "
        f"({evaluate.confidence * 100:g}% interval {interval.low:.4f} to {interval.high:.4f})"
    )


def _evaluate(options: Evaluate) -> Results:
    runtime.make_deterministic(options.seed)
    spec = spec_of(checkpoint.metadata(paths.HEAD, checkpoint.HEAD))
    costs_of(options.costs, spec.classes)  # what does not fit is refused before the work
    network = plan(spec)
    head = trained_head(network, paths.HEAD, paths.BACKBONE)
    table = load_table(paths.IMAGE_TABLE)
    rows = open_rows(paths.FEATURES, table)
    test = rows_of(table, "test", spec.classes)
    answers = predict_head(head, rows, test.indices, network.eval_batch)
    val = rows_of(table, "val", spec.classes)
    validation = Validation(
        val.indices, val.labels.numpy(), predict_head(head, rows, val.indices, network.eval_batch)
    )
    labels = test.labels.numpy()
    own = table.iloc[test.indices.start : test.indices.stop].assign(row=list(test.indices))
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
            groups=groups_of(own),
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
    columns = [f"probability:{name}" for name in results.classes]
    answers = pd.DataFrame(results.probabilities, index=table.index, columns=columns)
    return pd.concat([table, answers], axis=1)


def _confusion_rows(results: Results) -> pd.DataFrame:
    names = np.array(results.classes, dtype=object)
    return pd.DataFrame({"actual": names[results.labels], "predicted": names[results.predicted]})


def _roc_rows(results: Results) -> pd.DataFrame:
    parts = [
        pd.DataFrame(curve._asdict()).drop(columns="thresholds").assign(**{"class": name})
        for name, curve in metrics.roc_curves(results.labels, results.probabilities, results.classes).items()
    ]
    columns = ["class", "false_positive_rate", "true_positive_rate"]
    return pd.concat(parts)[columns] if parts else pd.DataFrame(columns=columns)


def _report(results: Results) -> report.Report:
    counts = data.counts_of()
    is_random = bool(results.head["backbone"]["random"])
    return report.Report(
        title=report.title_of(results.classes),
        banner=model.random_banner() if is_random else None,
        verdict=verdict(results.metrics, _above_commonest(results), is_random=is_random),
        metrics=results.metrics,
        notes=[_training_note(results)],
        sections=_sections(results, counts),
        places=PLACES,
    )


def _above_commonest(results: Results) -> Interval:
    """The interval of the accuracy less that of always answering with the commonest class."""
    always = results.labels == results.classes.index(commonest_of(results.metrics))
    right = results.predicted == results.labels
    return difference(right, always, results.options.confidence, results.groups)[1]


def _sections(results: Results, counts: data.Counts) -> tuple[report.Section, ...]:
    """The parts of the page, each made by a module of its own, in their order."""
    wrong, right = gallery.mistakes(results), gallery.right_answers(results)
    shown = {(int(results.labels[place]), int(results.predicted[place])) for place in [*wrong, *right]}
    made: tuple[report.Section | None, ...] = (
        confusion.section(results, shown),
        classes.section(results),
        mistakes.section(results, wrong, explanations.of(results, wrong)),
        mistakes.right_section(results, right),
        baselines.section(results),
        slices.section(results),
        curves.section(results, metrics.roc_curves(results.labels, results.probabilities, results.classes)),
        probabilities.section(results),
        learning_curve.section(results),
        cross_validation.section(results),
        training.section(results),
        data.section(counts),
        model.section(results),
    )
    return tuple(section for section in made if section is not None)


def _training_note(results: Results) -> str:
    history = load_table(paths.HISTORY).set_index("epoch")
    accuracy = float(history.loc[int(results.head["epoch"]), "train_accuracy"])
    return training_note(accuracy, results.metrics.accuracy, results.metrics.intervals["accuracy"])
