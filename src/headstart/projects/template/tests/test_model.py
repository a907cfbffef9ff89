"""Your checks of the model. They read what the stages wrote: run `dvc repro` first, then `make test`."""

import pytest

import headstart

LEAST_RECALL = 0.5  # of each class that has enough test images to say so
ENOUGH = 10


@pytest.fixture(scope="module")
def project() -> headstart.Project:
    return headstart.Project(".")


def test_every_class_is_found(project: headstart.Project) -> None:
    classes = project.metrics()["classes"]
    measured = {name: own["recall"] for name, own in classes.items() if own["support"] >= ENOUGH}
    low = {name: recall for name, recall in measured.items() if recall is not None and recall < LEAST_RECALL}
    assert not low, f"recall below {LEAST_RECALL}: {low}; the report shows the images: reports/report.html"


def test_it_is_better_than_always_the_commonest_class(project: headstart.Project) -> None:
    predictions = project.predictions()
    if len(predictions) < ENOUGH * predictions["label"].nunique():
        pytest.skip(f"{len(predictions)} test images are too few to say so")
    commonest = predictions["label"].value_counts(normalize=True).iloc[0]
    right = (predictions["label"] == predictions["predicted"]).mean()
    assert right > commonest, (
        f"accuracy {right:.3f}, and naming the commonest class alone gives {commonest:.3f}"
    )
