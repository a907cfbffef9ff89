"""The most similar images are those nearest by cosine, however the rows are read."""

import numpy as np
from held import Held

from headstart.pipeline.explanation.similar import Space, most_similar
from headstart.pipeline.features.vectors import WIDEST


def test_the_most_similar_are_those_with_the_largest_cosine() -> None:
    values = np.random.default_rng(0).normal(size=(1500, 30)) * np.arange(1, 31) + 100
    rows, train = Held(values), range(0, 1400)
    space = Space.of(rows, train, 0)
    queries = np.concatenate(list(space.vectors(range(1400, 1420))))
    found = most_similar(space, queries, train, 3)
    standard = (values - values[:1400].mean(0)) / values[:1400].std(0)
    standard /= np.linalg.norm(standard, axis=1, keepdims=True)
    cosines = standard[1400:1420] @ standard[:1400].T
    assert np.array_equal(found.rows, np.argsort(-cosines, axis=1)[:, :3])
    assert np.allclose(found.similarities, -np.sort(-cosines, axis=1)[:, :3], atol=1e-4)
    assert rows.most <= 512


def test_a_copy_is_the_most_similar_and_the_first_of_equal_ones_comes_first() -> None:
    values = np.random.default_rng(1).normal(size=(60, 8, 3, 3))
    values[7] = values[40] = values[55]
    space = Space.of(Held(values), range(0, 50), 0)
    queries = space.vectors_of(values[55:56].astype(np.float32))
    found = most_similar(space, queries, range(0, 50), 4)
    assert found.rows[0, :2].tolist() == [7, 40]
    assert np.allclose(found.similarities[0, :2], 1, atol=1e-5)


def test_wide_rows_few_rows_and_constant_numbers() -> None:
    values = np.random.default_rng(2).normal(size=(5, WIDEST + 100))
    values[:, 3] = 5
    values[4] = values[1] + 0.01
    space = Space.of(Held(values), range(0, 2), 0)
    [queries] = space.vectors(range(4, 5))
    assert queries.shape == (1, WIDEST)
    found = most_similar(space, queries, range(0, 2), 3)
    assert found.rows.tolist() == [[1, 0]]
    assert np.isfinite(found.similarities).all()
