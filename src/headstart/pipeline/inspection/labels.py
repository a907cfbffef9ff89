"""Labels that are probably wrong: confident learning on out-of-fold predictions.

Source: C. G. Northcutt, L. Jiang, I. L. Chuang, Confident learning: estimating uncertainty in dataset labels,
Journal of Artificial Intelligence Research 70, 2021.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold

from headstart.pipeline.features.vectors import Vectors

STRENGTH = 0.001  # inverse of the regularisation
STEPS = 200


@dataclass(frozen=True)
class Doubts:
    """For each image the class that it probably has, and how much more likely that is than the given one.

    Attributes:
        confident: bool [N], whether confident learning contradicts the label.
        suggested: int64 [N], the class that confident learning names, else the most probable one.
        margin: float64 [N], a difference of probabilities; 0 if the given class is the most probable one.
    """

    confident: NDArray[np.bool_]
    suggested: NDArray[np.int64]
    margin: NDArray[np.float64]


def out_of_fold(
    vectors: Vectors,
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    folds: int,
    seed: int,
    advance: Callable[[int], object],
) -> NDArray[np.float64]:
    """Probabilities of each class [N, C], of an image by a logistic regression that has not seen its group.

    Args:
        labels: int64 [N], the given classes.
        groups: int64 [N]; images of one group, such as near duplicates, are in one part.
        advance: called with 1 after each part.
    """
    found = np.zeros((len(labels), int(labels.max()) + 1))
    parts = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a rough fit ranks as well
        warnings.simplefilter("ignore", UserWarning)  # a class with fewer images than parts
        for seen, held in parts.split(vectors, labels, groups):
            if len(set(labels[seen].tolist())) < 2:
                found[np.ix_(held, labels[seen][:1])] = 1
                continue
            model = LogisticRegression(C=STRENGTH, max_iter=STEPS).fit(vectors[seen], labels[seen])
            found[np.ix_(held, model.classes_)] = model.predict_proba(vectors[held])
            advance(1)
    return found


def doubts(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> Doubts:
    """The labels that confident learning contradicts, and those that are not the most probable class.

    A class is likely for an image if its probability is at least the mean one of the images labelled with it.
    Confident learning contradicts a label if another class is the most probable of the likely ones. With few
    classes it is cautious: of labels exchanged by hand it names two in three.

    Args:
        probabilities: [N, C], out of fold.
        labels: int64 [N].
    """
    every = np.arange(len(labels))
    counts = np.bincount(labels, minlength=probabilities.shape[1])
    own = probabilities[every, labels]
    usual = np.bincount(labels, own, minlength=len(counts)) / np.maximum(counts, 1)
    likely = (probabilities >= usual - 1e-12) & (counts > 0)
    best = np.where(likely, probabilities, -1).argmax(1)
    confident = likely.any(1) & (best != labels)
    suggested = np.where(confident, best, probabilities.argmax(1))
    return Doubts(confident, suggested, np.maximum(probabilities[every, suggested] - own, 0.0))
