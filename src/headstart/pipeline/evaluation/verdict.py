"""The verdict: what was measured on what, what it is worth, and what to do next."""

from dataclasses import dataclass

from headstart.pipeline.evaluation.intervals import Interval
from headstart.pipeline.evaluation.metrics import Metrics
from headstart.pipeline.evaluation.wording import counted, share, shares

GAP = 0.05  # between training and test images: less is not worth a remark
WIDE = 0.1  # of an interval: more is worth a remark
FEW = 5  # test images of a class that are too few to name it the weakest


@dataclass(frozen=True)
class Verdict:
    """A sentence on what was measured, whether it beats the simplest baseline, and what to do, in order."""

    sentence: str
    is_good: bool
    steps: tuple[str, ...]


def commonest_of(metrics: Metrics) -> str:
    """The class that most test images have: no other constant answer is right more often."""
    return max(metrics.per_class, key=lambda name: metrics.per_class[name].support)


def verdict(metrics: Metrics, gap: Interval, *, is_random: bool) -> Verdict:
    """Judge the accuracy against always answering with the class that most test images have.

    The champion is unknown here: the gate compares the two later.

    Args:
        gap: interval of the accuracy less that of this answer, on the same images (`difference`).
        is_random: the convolutions were never trained.
    """
    commonest = commonest_of(metrics)
    baseline = metrics.per_class[commonest].support / metrics.images
    interval = metrics.intervals["accuracy"]
    is_good = gap.low > 0
    classes = len(metrics.per_class)
    measured = (
        f"{share(metrics.accuracy)} of {counted(metrics.images, 'test image')} of {classes} classes "
        f"({metrics.confidence * 100:g}% interval {shares(interval)})"
    )
    always = f"always answering “{commonest}”, the commonest of them, which is right for {share(baseline)}"
    if is_good:
        sentence = f"The model is right for {measured}: better than {always}."
    elif gap.high < 0:
        sentence = f"Not usable: the model is right for {measured}, worse than {always}."
    else:
        sentence = (
            f"Not usable yet: the model is right for {measured}, which cannot be told apart from {always}: "
            f"the difference is {100 * gap.low:.1f} to {100 * gap.high:.1f} points."
        )
    return Verdict(sentence, is_good, _steps(metrics, interval, is_random=is_random, is_good=is_good))


def _steps(metrics: Metrics, interval: Interval, *, is_random: bool, is_good: bool) -> tuple[str, ...]:
    steps = []
    if is_random:
        steps.append(
            "Set backbone.weights in params.yaml to trained weights and train again: these convolutions "
            "are random."
        )
    elif not is_good:
        steps.append("Check the labels on the page data.html, then train on more images or a longer part.")
    if weakest := _weakest(metrics):
        steps.append(f"Look first at the mistakes of {weakest}.")
    if interval.high - interval.low > WIDE:
        width = (interval.high - interval.low) * 100
        steps.append(f"The interval is {width:.0f} points wide: more test images would narrow it.")
    steps.append(
        "When it is registered, the gate compares it with register.thresholds and with the champion: "
        "gate/comparison.html in the version's MLflow run."
    )
    return tuple(steps)


def _weakest(metrics: Metrics) -> str:
    """The class with the lowest recall, in words; empty if every image of such classes is found."""
    lowest = min(
        (
            (each.recall, name)
            for name, each in metrics.per_class.items()
            if each.recall is not None and each.support >= FEW
        ),
        default=(1.0, ""),
    )
    if lowest[0] == 1:
        return ""
    support = metrics.per_class[lowest[1]].support
    return f"“{lowest[1]}”: {round(lowest[0] * support)} of its {support} images are found"


def training_note(accuracy: float, test: float, interval: Interval) -> str:
    """The sentence on the training images.

    Args:
        accuracy: on them, during the epoch that was kept.
        test: on the test images.
        interval: of `test`.
    """
    said = f"During the epoch that was kept, {share(accuracy)} of the training images were right"
    if accuracy <= interval.high or accuracy - test < GAP:
        return f"{said}."
    return (
        f"{said}, more than chance explains: the head knows them better than new images. More training "
        "images, train.weight_decay or fewer epochs may help."
    )
