"""Section "Curves": ROC and calibration, and the whole matrix where its table shows a part."""

from headstart.pipeline.evaluation import metrics, plots
from headstart.pipeline.evaluation.report import Figure, Section, figures
from headstart.pipeline.evaluation.results import Results
from headstart.pipeline.evaluation.sections.confusion import SHOWN
from headstart.pipeline.evaluation.wording import decimal, share


def section(results: Results, curves: dict[str, metrics.RocCurve]) -> Section:
    """Make the section.

    Args:
        curves: the ROC curves, by class; none if no class has test images on both sides.
    """
    shown = []
    if curves:
        area = decimal(results.metrics.roc_auc)
        shown.append(
            Figure(
                "ROC",
                "Each class against the rest.",
                plots.roc_png(curves),
                f"ROC curves of {len(curves)} classes; the mean area is {area}",
            )
        )
    error = plots.calibration_error(results.labels, results.probabilities)
    shown.append(
        Figure(
            "Calibration",
            "Confidence against accuracy on test images.",
            plots.calibration_png(results.labels, results.probabilities),
            f"Accuracy by confidence, in ten bins: they differ by {share(error)} on average",
        )
    )
    if len(results.classes) > SHOWN:
        matrix = metrics.confusion_matrix(results.labels, results.predicted, len(results.classes))
        shown.append(
            Figure(
                "All classes",
                "Test images by class and prediction, in the order of the classes.",
                plots.confusion_png(matrix, results.classes),
                f"Confusion of all {len(results.classes)} classes; {share(results.metrics.accuracy)} of the "
                "images are on the diagonal",
            )
        )
    return Section("Curves", figures(*shown))
