"""Labels that confident learning doubts, held against cleanlab, which the product does not depend on."""

import numpy as np
import pytest
from cleanlab.filter import find_label_issues
from numpy.typing import NDArray

from headstart.pipeline.inspection.labels import doubts, out_of_fold

CLASSES = 4


def drawn(seed: int, spread: float = 1.0) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """Vectors around a centre per class, given labels of which one in twenty is wrong, and the right ones."""
    random = np.random.default_rng(seed)
    right = random.integers(0, CLASSES, 600)
    centres = 2.5 * random.normal(size=(CLASSES, 16))
    vectors = centres[right] + spread * random.normal(size=(600, 16))
    given = right.copy()
    wrong = random.choice(600, 30, replace=False)
    given[wrong] = (right[wrong] + random.integers(1, CLASSES, 30)) % CLASSES
    return vectors.astype(np.float32), given, right


def probabilities_of(vectors: NDArray[np.float32], given: NDArray[np.int64]) -> NDArray[np.float64]:
    return out_of_fold(vectors, given, np.arange(len(given)), 5, 0, lambda done: None)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("spread", [1.0, 3.0])
def test_the_labels_doubted_are_those_that_cleanlab_doubts(seed: int, spread: float) -> None:
    vectors, given, _ = drawn(seed, spread)
    probabilities = probabilities_of(vectors, given)
    found = doubts(probabilities, given)
    theirs = find_label_issues(given, probabilities, filter_by="confident_learning", n_jobs=1)
    assert theirs.any()
    assert np.array_equal(found.confident, theirs)
    assert ((found.margin > 0) | ~theirs).all()


def test_planted_mistakes_come_first_and_the_right_class_is_suggested() -> None:
    vectors, given, right = drawn(0, spread=0.7)
    found = doubts(probabilities_of(vectors, given), given)
    first = np.argsort(-found.margin)[:25]
    assert (given[first] != right[first]).mean() > 0.9
    assert (found.suggested[first] == right[first]).mean() > 0.9


def test_copies_of_an_image_do_not_vouch_for_its_label() -> None:
    vectors, given, right = drawn(1)
    wrong = np.flatnonzero(given != right)
    five = np.concatenate([np.arange(600), np.repeat(wrong, 5)])
    alone = out_of_fold(vectors[five], given[five], np.arange(len(five)), 5, 0, lambda done: None)
    together = out_of_fold(vectors[five], given[five], five, 5, 0, lambda done: None)
    margins = [doubts(each, given[five]).margin[wrong].mean() for each in (alone, together)]
    assert margins[1] > 1.05 * margins[0]


def test_the_same_input_gives_the_same_answer() -> None:
    vectors, given, _ = drawn(2)
    assert np.array_equal(probabilities_of(vectors, given), probabilities_of(vectors, given))


def test_a_class_with_fewer_images_than_parts_is_no_error() -> None:
    vectors, given, _ = drawn(3)
    given[:] = 0
    given[:2] = 1
    found = doubts(probabilities_of(vectors, given), given)
    assert len(found.margin) == 600
